"""The CronJob that keeps the champions' forecasts."""

from __future__ import annotations

from typing import Any

import click
import pytest

from atb.errors import DataError, DataNotReady, SpecError, Unavailable
from tests.chart.helm import DAILY, Object, pick, refusal, render
from trainer.cli import atb


def predictions(**values: Any) -> Object:
    found: Object = pick(render({"predictions": {"enabled": True, **values}}), "CronJob")["spec"]
    return found


def container(spec: Object) -> Object:
    found: Object = spec["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    return found


def test_there_is_none_unless_it_is_wanted() -> None:
    assert [each for each in render({}) if each["kind"] == "CronJob"] == []


@pytest.mark.parametrize(("symbols", "words"), [([], ["--all"]), (["BTCUSDT", "BTC/USDT"], ["BTCUSDT", "BTC/USDT"])])
def test_its_command_is_one_of_ours(symbols: list[str], words: list[str]) -> None:
    command = container(predictions(symbols=symbols))["command"]
    assert command == ["atb", "predict", *words, "--keep", "--output", "json", "--store", "s3://atb"]
    group: click.Command = atb
    assert isinstance(group, click.Group)
    context = group.commands["predict"].make_context("predict", command[2:])
    assert (context.params["symbols"], context.params["keep"]) == (tuple(symbols), True)


def test_what_may_pass_is_tried_again_and_the_rest_is_not() -> None:
    job = predictions(retries=2)["jobTemplate"]["spec"]
    assert job["backoffLimit"] == 2
    (ended,) = [rule["onExitCodes"] for rule in job["podFailurePolicy"]["rules"] if "onExitCodes" in rule]
    assert ended["containerName"] == "predict"
    assert {SpecError.exit_code, DataError.exit_code} <= set(ended["values"])
    assert {DataNotReady.exit_code, Unavailable.exit_code, 1} & set(ended["values"]) == set()


def test_it_ends_before_the_next_is_due() -> None:
    assert predictions(cron="1 * * * *")["jobTemplate"]["spec"]["activeDeadlineSeconds"] == 3_240
    assert "predictions.deadlineSeconds: 3600 is not below the period" in refusal(
        {"predictions": {"enabled": True, "deadlineSeconds": 3600}}
    )


def test_its_resources_and_node_are_its_own_and_its_image_is_the_trainers() -> None:
    values = {"resources": {"limits": {"memory": "3Gi"}}, "nodeSelector": {"pool": "small"}}
    spec = predictions(**values)
    assert container(spec)["resources"]["limits"] == {"memory": "3Gi"}
    assert container(spec)["image"].startswith("atb-trainer:")
    assert spec["jobTemplate"]["spec"]["template"]["spec"]["nodeSelector"] == {"pool": "small"}


def test_no_schedule_may_have_its_name() -> None:
    values = {"predictions": {"enabled": True}, "schedules": [{**DAILY, "name": "predictions"}]}
    assert 'schedules[0].name: "predictions" is the name of the CronJob of predictions.enabled' in refusal(values)
