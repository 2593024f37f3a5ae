"""The chart's CronJob runs what atb-launch understands: its very command, with its options, at an API server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from atb.contract.spec import Spec
from atb.storage import open_store
from tests.apiserver.controller import JobController
from tests.apiserver.http import ApiServer
from tests.apiserver.kubelet import Kubelet, Outcome, add_node
from tests.chart.helm import DAILY, NAMESPACE, Object, pick, render
from tests.processes import Atb
from tests.trainer.pipeline.market import ROWS, START, sine_close, write_bars

DUE = "2026-11-25T00:15:00Z"
JOB = "rel-atb-daily-29401935"


@pytest.fixture
def server() -> Iterator[ApiServer]:
    server = ApiServer()
    server.state.create("namespaces", "", {"metadata": {"name": NAMESPACE}})
    yield server
    server.stop()
    assert not server.crashes, server.crashes[0]


def prepare(objects: list[Object], server: ApiServer, folder: Path, *flags: str) -> tuple[list[str], dict[str, str]]:
    """The CronJob's command and environment, as its Pod would have them in a Job that was due at DUE."""
    pod = pick(objects, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    (folder / "cluster.yaml").write_text(pick(objects, "ConfigMap")["data"]["cluster.yaml"])
    command = [word.replace("/etc/atb", str(folder)) for word in pod["command"]]
    assert command[0] == "atb-launch"
    names = {entry["name"]: entry["value"] for entry in pod["env"] if "value" in entry}
    names |= {"KUBECONFIG": str(server.kubeconfig(folder, NAMESPACE)), "ATB_JOB_NAME": JOB}
    return [sys.executable, "-m", "launcher.cli", *command[1:], *flags], {**os.environ, **names}


def launch(objects: list[Object], server: ApiServer, folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    command, environment = prepare(objects, server, folder, *flags)
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_cron_jobs_command_plans_the_jobs_that_the_values_describe(
    server: ApiServer, s3_url: str, s3_endpoint: str, tmp_path: Path
) -> None:
    template: dict[str, Any] = {"spec": {"containers": []}}
    annotations = {"batch.kubernetes.io/cronjob-scheduled-timestamp": DUE}
    metadata = {"name": JOB, "annotations": annotations}
    server.state.create("jobs", NAMESPACE, {"metadata": metadata, "spec": {"template": template}})
    schedule = {**DAILY, "source": "sample", "set": {"epochs": 3, "learning_rate": 0.0001}, "promote": "auto"}
    values = {
        "store": {"url": s3_url, "endpointUrl": s3_endpoint, "region": "us-east-1", "secret": "keys"},
        "trainer": {"image": {"repository": "registry.example/trainer", "digest": f"sha256:{'0' * 64}"}},
        "jobs": {"gpus": 2, "memory": "3Gi", "nodeSelector": {"pool": "gpu"}, "labels": {"team": "quant"}},
        "schedules": [schedule],
    }
    answer = launch(render(values), server, tmp_path, "--dry-run")
    assert answer.returncode == 0, answer.stderr
    owner, *jobs = [document for document in yaml.safe_load_all(answer.stdout) if document]
    assert owner["data"] == {"run": "rel-atb-daily-20261125-001500", "store": s3_url, "endpoint-url": s3_endpoint}
    assert [job["metadata"]["labels"]["atb/symbol"] for job in jobs] == schedule["symbols"]
    for job in jobs:
        labels = job["spec"]["template"]["metadata"]["labels"]
        assert {labels[f"app.kubernetes.io/{name}"] for name in ("instance", "component")} == {"rel", "trainer"}
        assert labels["team"] == "quant"
        pod = job["spec"]["template"]["spec"]
        assert (pod["serviceAccountName"], pod["nodeSelector"]) == ("rel-atb-trainer", {"pool": "gpu"})
        container = pod["containers"][0]
        assert container["image"] == f"registry.example/trainer@sha256:{'0' * 64}"
        assert container["resources"]["limits"] == {"memory": "3Gi", "nvidia.com/gpu": "2"}
        assert container["envFrom"] == [{"secretRef": {"name": "keys"}}]
        names = {entry["name"]: entry.get("value") for entry in container["env"]}
        assert (names["AWS_ENDPOINT_URL_S3"], names["AWS_DEFAULT_REGION"]) == (s3_endpoint, "us-east-1")
        spec = Spec.from_bytes(container["command"][3], "command")
        assert (spec.epochs, spec.learning_rate, spec.source) == (3, 0.0001, "sample")
        assert f"{spec.as_of:%Y-%m-%d %H:%M}" == "2026-11-25 00:00"


def train_here(atb: Atb, folder: Path) -> Callable[[Object], Outcome]:
    """A kubelet's way to run a training's Pod: its very command and environment, in a fork on this machine."""

    def behave(pod: Object) -> Outcome:
        container = pod["spec"]["containers"][0]
        assert container["command"][0] == "atb"
        names = {entry["name"]: entry.get("value", pod["metadata"]["name"]) for entry in container["env"]}
        places = {"HOME": str(folder), "TMPDIR": str(folder)}
        keys = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}  # as from the Secret
        done = atb(*container["command"][1:], environment={**keys, **names, **places})
        return Outcome(code=done.code, log=done.output.encode())

    return behave


def test_a_schedule_fired_by_hand_trains_and_promotes_once_however_often_its_launcher_starts(
    server: ApiServer, s3_url: str, s3_endpoint: str, tmp_path: Path, atb: Atb
) -> None:
    template: dict[str, Any] = {"spec": {"containers": []}}
    server.state.create("jobs", NAMESPACE, {"metadata": {"name": JOB}, "spec": {"suspend": True, "template": template}})
    write_bars(tmp_path / "bars", "WAVE", sine_close())
    end = f"{START + timedelta(hours=ROWS):%Y-%m-%dT%H:%M:%SZ}"
    server.state.patch("jobs", NAMESPACE, JOB, {"metadata": {"creationTimestamp": end}})
    server.state.create("serviceaccounts", NAMESPACE, {"metadata": {"name": "rel-atb-trainer"}})
    add_node(server.state, "gpu-node")
    controller = JobController(server.state, NAMESPACE).start()
    kubelet = Kubelet(server, NAMESPACE, train_here(atb, tmp_path)).start()
    schedule = {**DAILY, "symbols": ["WAVE"], "presets": ["fast"], "source": f"files:{tmp_path / 'bars'}"}
    numbers = {"epochs": 6, "days": 37, "learning_rate": 0.003, "sequence_length": 16}
    values = {
        "store": {"url": s3_url, "endpointUrl": s3_endpoint},
        "jobs": {"requireGpu": False},  # the node has the resource and no GPU behind it
        "schedules": [{**schedule, "set": numbers, "promote": "auto", "acceptFirst": True}],
    }
    try:
        answers = [launch(render(values), server, tmp_path) for _ in range(2)]
    finally:
        kubelet.stop()
        controller.stop()
    assert [answer.returncode for answer in answers] == [0, 0], answers[0].stderr + answers[1].stderr
    assert "fired by hand" in answers[0].stderr
    assert "has begun already and is resumed" in answers[1].stderr
    keys = [entry.key for entry in open_store(s3_url, s3_endpoint).list("")]
    assert sum(key.endswith("/result.json") for key in keys) == 1
    assert sum(key.endswith("/plan.json") for key in keys) == 1
    assert "models/WAVE/1h/fast/current.json" in keys
    assert sum("/history/" in key for key in keys) == 1


def test_a_store_that_does_not_answer_is_waited_for_until_the_launcher_is_stopped_and_tried_again(
    server: ApiServer, tmp_path: Path
) -> None:
    template: dict[str, Any] = {"spec": {"containers": []}}
    server.state.create("jobs", NAMESPACE, {"metadata": {"name": JOB}, "spec": {"template": template}})
    objects = render({"store": {"url": "s3://bucket", "endpointUrl": "http://127.0.0.1:9"}, "schedules": [DAILY]})
    command, environment = prepare(objects, server, tmp_path)
    environment |= {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        output = ""
        while "s3://bucket did not answer" not in output:
            line = process.stderr.readline()
            assert line, output
            output += line
        process.terminate()
        rest = process.stderr.read()
    rules = pick(objects, "CronJob")["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    code = process.returncode if process.returncode > 0 else 128 - process.returncode  # as a container's
    assert code in rules[1]["onExitCodes"]["values"], output + rest
    assert "retrying for up to" in output
