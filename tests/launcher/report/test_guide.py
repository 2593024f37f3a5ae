"""What a run's page and the terminal suggest next: every command can be pasted, and can help."""

from __future__ import annotations

import shlex

import pytest

from atb.contract.spec import data_check
from atb.documents.manifest import Manifest, ManifestJob
from atb.documents.plan import Plan
from atb.options.stores import store_words
from atb.options.training import training_options
from atb.storage import open_store
from launcher.cli import atb_launch
from launcher.cli.options import access_words, read_setup
from launcher.kubernetes.read_options import parse_options, read_options
from launcher.plan.build import build_plan
from launcher.records.categories import CATEGORIES, fill_remedy
from launcher.report.guide import can_help, describe_request, next_steps
from tests.atb.registry.candidates import NOW
from trainer.cli.predict import predict

WHERE = ["--store", "s3://bucket/books", "--endpoint-url", "http://127.0.0.1:9000"]


def plan_of(*symbols: str, presets: tuple[str, ...] = ("fast",)) -> Plan:
    options = {"as_of": NOW, "source": "files:/my data"}
    return build_plan("r1", symbols, presets, options, backend="local", now=NOW)


def failed(symbol: str, category: str) -> ManifestJob:
    return ManifestJob(job=f"{symbol}-fast", symbol=symbol, preset="fast", state="failed", category=category)


def steps_of(*jobs: ManifestJob) -> list[str]:
    plan = plan_of(*(job.symbol for job in jobs))
    return [step.command for step in next_steps(plan, Manifest(run="r1", created=NOW, jobs=jobs), {}, WHERE)]


def test_bad_bars_are_looked_at_with_their_source_and_never_just_tried_again() -> None:
    bad = failed("AUSDT", "bad-data")
    why, check = steps_of(bad)
    assert shlex.split(why) == ["atb-launch", "why", "r1", "AUSDT-fast", *WHERE]
    assert shlex.split(check)[:6] == ["atb", "data", "check", "AUSDT", "--source", "files:/my data"]
    assert shlex.split(check)[-4:] == WHERE
    assert not can_help(Manifest(run="r1", created=NOW, jobs=(bad,)))


def test_commands_that_need_the_cluster_name_it_as_the_command_line_does() -> None:
    context = atb_launch.make_context("atb-launch", ["--kubeconfig", "my config", "--context", "c", "--namespace", "n"])
    access = access_words(read_setup(context))
    assert access == ["--kubeconfig", "my config", "--context", "c"], "the plan has the namespace"
    manifest = Manifest(run="r1", created=NOW, jobs=(failed("AUSDT", "oom"), failed("BUSDT", "bad-data")))
    steps = next_steps(plan_of("AUSDT", "BUSDT"), manifest, {}, WHERE, access=access)
    for words in (shlex.split(step.command) for step in steps):
        assert ("--context" in words) == (words[0] == "atb-launch")


def test_what_may_end_otherwise_is_resumed() -> None:
    assert "atb-launch --resume r1" in " ".join(steps_of(failed("AUSDT", "bad-data"), failed("BUSDT", "oom")))
    assert can_help(Manifest(run="r1", created=NOW, jobs=(failed("BUSDT", "oom"),)))


@pytest.mark.parametrize(
    ("presets", "options"),
    [
        (["fast"], {}),
        (["fast", "legacy"], {"epochs": "2", "seed": "7"}),
        (["quality"], {"target": "volatility"}),
        (["fast"], {"target": "volatility", "residual": "none", "features": "classic", "horizon": "24"}),
        (
            ["balanced", "fast"],
            {"learning_rate": "0.003", "short": "yes", "onnx": "no", "bands": "0.9", "market": "um"},
        ),
        (["fast"], {"model_type": "quality", "fee_bps": "0", "threshold_bps": "4.5", "on_gap": "fail", "folds": "2"}),
        (["fast"], {"timeframe": "15m", "augment": "jitter,scale", "mixed_precision": "yes", "batch_size": "128"}),
    ],
)
def test_the_command_of_a_run_plans_the_same_trainings_again(presets: list[str], options: dict[str, str]) -> None:
    plan = build_plan("r1", ["AUSDT", "BUSDT"], presets, {**options, "as_of": NOW}, backend="local", now=NOW)
    words = shlex.split(dict(describe_request(plan, WHERE))["command"])
    context = atb_launch.make_context(words[0], words[1:])
    with context:
        chosen = training_options(context)
    symbols, named = (context.params[name].split(",") for name in ("symbols", "preset"))
    again = build_plan("r2", symbols, named, chosen, backend="local", now=NOW)
    assert [job.spec_digest for job in again.jobs] == [job.spec_digest for job in plan.jobs]


def test_the_command_of_a_run_in_a_cluster_has_the_options_of_its_jobs() -> None:
    fields = {
        "image": "registry/atb:1", "gpus": 0, "cpu": "500m", "keep_jobs": True, "deadline_seconds": 3600,
        "env_from_secrets": ["keys"], "labels": {"team": "a"}, "create_rate": 20.0,
        "tolerations": [{"key": "pool", "operator": "Equal", "value": "spot", "effect": "NoSchedule"}],
    }  # fmt: skip
    options = {"cluster": parse_options(fields, "here").model_dump(mode="json", exclude_defaults=True)}
    symbols = [f"S{number}USDT" for number in range(60)]
    plan = build_plan("r1", symbols, ["fast"], {"as_of": NOW}, backend="kubernetes", now=NOW, launcher_options=options)
    words = shlex.split(dict(describe_request(plan, WHERE))["command"])
    context = atb_launch.make_context(words[0], words[1:])
    assert read_options(read_setup(context).flags).model_dump() == parse_options(fields, "here").model_dump()
    assert context.params["symbols"].split(",") == symbols


def test_a_suggested_check_asks_for_exactly_the_bars_of_the_training() -> None:
    spec = plan_of("AUSDT").jobs[0].spec
    words = shlex.split(data_check(spec))
    assert words[words.index("--as-of") + 1] == "2026-01-31T06:00"
    assert words[words.index("--start") + 1] == f"{spec.start:%Y-%m-%dT%H:%M}"


def test_every_remedy_with_a_command_names_the_run_the_symbol_and_the_store() -> None:
    spec = plan_of("AUSDT").jobs[0].spec
    for category in CATEGORIES.values():
        filled = fill_remedy(category.remedy, "r1", spec, WHERE)
        assert "SYMBOL" not in filled
        assert "RUN" not in filled
        if "atb-launch " in filled or "atb data" in filled:
            assert filled.endswith(shlex.join(WHERE)), category.name


def test_a_command_names_its_store_and_where_the_server_listens() -> None:
    store = open_store("s3://bucket/books", "http://127.0.0.1:9000")
    assert store_words(store) == WHERE
    assert store_words(store, {"ATB_STORE": "s3://bucket/books", "AWS_ENDPOINT_URL": "http://127.0.0.1:9000"}) == []
    assert store_words(store, {"ATB_STORE": "s3://other"}) == WHERE


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "--timeframe 1h --preset fast --target return --horizon 1 --market spot"),
        ({"market": "um"}, "--timeframe 1h --preset fast --target return --horizon 1 --market um"),
        ({"source": "sample"}, "--timeframe 1h --preset fast --target return --horizon 1 --market sample"),
        (
            {"timeframe": "4h", "target": "volatility", "horizon": "24"},
            "--timeframe 4h --preset fast --target volatility --horizon 24 --market spot",
        ),
    ],
)
def test_the_forecast_that_is_suggested_is_of_the_model_that_serves_whichever_others_the_symbol_has(
    options: dict[str, str], words: str
) -> None:
    plan = build_plan("r1", ["AUSDT"], ["fast", "quality"], {"as_of": NOW, **options}, backend="local", now=NOW)
    done = tuple(ManifestJob(job=job.job, symbol="AUSDT", preset=job.spec.preset, state="done") for job in plan.jobs)
    steps = list(next_steps(plan, Manifest(run="r1", created=NOW, jobs=done), {done[0].job: True}, ()))
    assert f"atb predict AUSDT {words}" in [step.command for step in steps]
    assert predict.make_context("predict", ["AUSDT", *words.split()]).params["symbols"] == ("AUSDT",)
