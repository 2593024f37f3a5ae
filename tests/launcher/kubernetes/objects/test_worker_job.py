"""The Job of a packed run's workers: its golden file, every schema, and what it says."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atb.contract import labels
from launcher.kubernetes.objects.pod import Target
from launcher.kubernetes.objects.render import render_yaml
from launcher.kubernetes.objects.worker_job import (
    WorkerRound,
    build_worker_job,
    read_worker_job,
    worker_command,
    worker_job_name,
)
from launcher.kubernetes.options import ClusterOptions
from tests.apiserver.state import check_object
from tests.chart.restricted import check_restricted
from tests.launcher.fixtures import make_options, make_plan
from tests.launcher.kubernetes.objects.test_jobs import OPTIONS, TARGET, VERSIONS, runs

GOLDEN = Path(__file__).parent / "golden" / "workers.yaml"
ROUND = WorkerRound(memory="24Gi", workers=4, ordinal=1, since=1767225600.5, avoid=("node-7",))


def render(**changes: Any) -> dict[str, Any]:
    options = OPTIONS["full"].model_copy(update={"workers": 4, "slots": 3, **changes})
    return build_worker_job(make_plan("BTC/USDT:USDT", "ETHUSDT"), TARGET, options, ROUND)


def test_the_rendered_object_is_the_golden_one() -> None:
    body = render()
    text = render_yaml([body]).replace(body["metadata"]["annotations"][labels.SPEC_ANNOTATION], "DIGEST")
    if os.environ.get("ATB_WRITE_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text(), "if this is meant: ATB_WRITE_GOLDEN=1"


@pytest.mark.parametrize("version", VERSIONS)
def test_it_fits_the_schema_of_every_supported_version_and_the_restricted_level(version: str) -> None:
    body = render()
    kubernetes_validate.validate(json.loads(json.dumps(body)), version, strict=True)
    assert check_restricted(body["spec"]["template"]["spec"]) == []


def test_an_index_that_fails_for_good_ends_alone_and_a_disruption_counts_for_nothing() -> None:
    spec = render(queue=None)["spec"]
    rules = spec["podFailurePolicy"]["rules"]
    assert [rule["action"] for rule in rules] == ["Ignore", "FailIndex"]
    assert 137 not in rules[1]["onExitCodes"]["values"], "the next attempt runs what needed the memory alone"
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 4, 4)
    assert spec["backoffLimitPerIndex"] == OPTIONS["full"].backoff_limit
    assert "suspend" not in spec


def test_kueue_may_admit_fewer_workers_than_requested() -> None:
    body = render(queue="team-a")
    assert body["spec"]["suspend"] is True
    assert body["metadata"]["annotations"]["kueue.x-k8s.io/job-min-parallelism"] == "1"


def test_compiled_code_stays_on_a_claim_that_the_pod_s_user_may_write_to() -> None:
    pod = render(compile_cache="compiled")["spec"]["template"]["spec"]
    container, user = pod["containers"][0], OPTIONS["full"].run_as_user
    assert {"name": "compiled", "persistentVolumeClaim": {"claimName": "compiled"}} in pod["volumes"]
    assert pod["securityContext"]["fsGroup"] == (user or 10001)
    place = next(mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "compiled")
    assert {"name": "ATB_COMPILE_CACHE", "value": place} in container["env"]
    with pytest.raises(ValueError, match="give workers too"):
        make_options(compile_cache="compiled")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gpus": 0, "cpu": "3500m"}, ["--slots", "3", "--accelerator", "cpu"]),
        ({"gpus": 0, "cpu": "500m"}, ["--slots", "1", "--accelerator", "cpu"]),
        ({"gpus": 1, "cpu": "2"}, ["--slots", "2", "--accelerator", "gpu"]),
        ({"gpus": 1, "cpu": "16"}, ["--slots", "4", "--accelerator", "gpu"]),
        ({"gpus": 1, "cpu": "16", "slots": 6, "require_gpu": False}, ["--slots", "6", "--accelerator", "auto"]),
    ],
)
def test_slots_follow_from_the_cpus_and_gpus_of_a_worker(changes: Any, words: list[str]) -> None:
    options = ClusterOptions(image="atb", workers=2, **changes)
    command = worker_command(Target("r1", "s3://models"), options, WorkerRound(memory="8Gi", workers=2))
    assert command == [
        *["atb-launch", "worker", "r1", "--store", "s3://models", "--workers", "2"],
        *words,
        *["--deadline", "86400"],
    ]


def test_what_was_rendered_is_read_back() -> None:
    body = render()
    body["metadata"] |= {"uid": "u", "creationTimestamp": "2026-01-31T06:00:00Z"}
    found = read_worker_job(body)
    assert found is not None
    assert (found.workers, found.since, found.status.ordinal, found.status.job) == (4, 1767225600.5, 1, "")
    for changed in ("", "x", "-1", "\u0661", "1e400", "9" * 400):
        body["metadata"]["annotations"] |= {labels.WORKERS_ANNOTATION: changed, labels.SINCE_ANNOTATION: changed}
        edited = read_worker_job(body)
        assert edited is not None
        assert (edited.workers, edited.since) == (1, 0.0), "whoever may edit a Job can't end its launcher"
    del body["metadata"]["annotations"][labels.WORKERS_ANNOTATION]
    assert read_worker_job(body) is None


@settings(max_examples=60, deadline=None)
@given(run=runs, ordinal=st.integers(0, 99))
def test_its_name_leaves_room_for_the_index_of_a_pod(run: str, ordinal: int) -> None:
    assert len(worker_job_name(run, ordinal)) <= 57
    shape = WorkerRound(memory="1Gi", workers=1, ordinal=ordinal)
    check_object(build_worker_job(make_plan("BTCUSDT"), Target(run, "s3://b"), OPTIONS["gpu"], shape))
    assert worker_job_name(run, ordinal) != worker_job_name(run, ordinal + 1)
