"""The chart on the cluster of ATB_TEST_KUBECONFIG: what schemas can't tell, its API server does."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chart.helm import CHART, EVERYTHING, run_tool
from tests.chart.test_objects import INSTALLATIONS

KUBECONFIG = os.environ.get("ATB_TEST_KUBECONFIG", "")
WITHOUT_OTHERS = {"prometheusRule": {"enabled": False}}
"""Nothing whose kind needs an operator."""
WITHOUT_NAMESPACE = (
    "clusterroles",
    "clusterrolebindings",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
)
"""What a release has that no namespace holds."""

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not KUBECONFIG, reason="needs a cluster: set ATB_TEST_KUBECONFIG"),
]


def run(name: str, *arguments: str | Path) -> str:
    answer = run_tool(name, *arguments, "--kubeconfig", KUBECONFIG)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


@pytest.fixture
def namespace() -> Iterator[str]:
    name = f"atb-test-{uuid.uuid4().hex[:8]}"
    run("kubectl", "create", "namespace", name)
    yield name
    # a test that failed has left its release, and deleting the namespace leaves what is in none
    kinds, mine = ",".join(WITHOUT_NAMESPACE), f"app.kubernetes.io/instance={name}"
    steps: tuple[tuple[str, ...], ...] = (
        ("helm", "uninstall", name, "--namespace", name, "--ignore-not-found"),
        ("kubectl", "delete", kinds, "--selector", mine, "--ignore-not-found", "--wait=false"),
        ("kubectl", "delete", "namespace", name, "--wait=false"),
    )
    answers = [run_tool(*step, "--kubeconfig", KUBECONFIG) for step in steps]  # one that fails keeps none from cleaning
    assert [answer.stderr for answer in answers if answer.returncode] == []


def install(namespace: str, values: dict[str, Any], folder: Path) -> None:
    file = folder / "values.yaml"
    file.write_text(json.dumps({**values, **WITHOUT_OTHERS}))
    # the release's name is in that of the objects which no namespace holds
    run("helm", "upgrade", "--install", namespace, CHART, "--namespace", namespace, "--values", file)


@pytest.mark.parametrize("name", INSTALLATIONS)
def test_it_installs_upgrades_and_leaves_nothing(name: str, namespace: str, tmp_path: Path) -> None:
    values = INSTALLATIONS[name]
    install(namespace, values, tmp_path)
    found = json.loads(run("kubectl", "get", "cronjobs", "--namespace", namespace, "--output", "json"))["items"]
    predictions = values.get("predictions", {}).get("enabled", False)
    assert len(found) == len(values.get("schedules", [])) + predictions
    install(namespace, {**values, "schedules": [], "predictions": {"enabled": False}}, tmp_path)
    assert run("kubectl", "get", "cronjobs", "--namespace", namespace, "--output", "name") == ""
    run("helm", "uninstall", namespace, "--namespace", namespace, "--wait")
    kinds = ",".join(
        ("all,configmaps,serviceaccounts,roles,rolebindings,networkpolicies,resourcequotas", *WITHOUT_NAMESPACE)
    )
    selector = f"app.kubernetes.io/instance={namespace}"
    assert run("kubectl", "get", kinds, "--namespace", namespace, "--selector", selector, "--output", "name") == ""


def test_the_admission_policy_refuses_a_job_without_an_end_or_a_limit(namespace: str, tmp_path: Path) -> None:
    install(namespace, EVERYTHING, tmp_path)
    container = {"name": "main", "image": "none", "resources": {"limits": {"memory": "64Mi"}}}
    spec: dict[str, Any] = {"activeDeadlineSeconds": 60, "ttlSecondsAfterFinished": 60}
    spec["template"] = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    meta = {"name": "probe", "labels": {"atb/run": "probe"}}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": spec}

    def refused() -> str:
        file = tmp_path / "job.json"
        file.write_text(json.dumps(job))
        wanted = ("create", "--dry-run=server", "--namespace", namespace, "--filename", file)
        return run_tool("kubectl", *wanted, "--kubeconfig", KUBECONFIG).stderr

    assert refused() == ""
    del container["resources"]
    for _ in range(100):  # a policy is in force a little after it was created
        if "every container of a Job of atb needs resources.limits.memory" in refused():
            break
        time.sleep(0.2)
    else:
        raise AssertionError("a Job without a limit is taken")
    container["resources"] = {"limits": {"memory": "64Mi"}}
    del spec["activeDeadlineSeconds"]
    assert "a Job of atb needs spec.activeDeadlineSeconds" in refused()
