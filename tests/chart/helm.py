"""The real helm on the real chart, values in and objects out."""

from __future__ import annotations

import functools
import json
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.unpack import find_tool

CHART = Path(__file__).resolve().parents[2] / "helm" / "atb"
NAMESPACE = "train"

Object = dict[str, Any]

DAILY = {"name": "daily", "cron": "15 0 * * *", "symbols": ["BTCUSDT", "ETHUSDT"]}
EVERYTHING: dict[str, Any] = {
    "store": {
        "url": "s3://bucket/prefix",
        "endpointUrl": "http://s3.local:8333",
        "region": "eu-west-1",
        "secret": "keys",
    },
    "imagePullSecrets": ["registry"],
    "launcher": {"clusterRole": True},
    "schedules": [DAILY],
    "jobs": {"spot": "capacity=spot"},
    "metrics": {"pushGateway": "http://gateway:9091", "dashboard": {"enabled": True}},
    **{
        name: {"enabled": True}
        for name in (
            "predictions",
            "networkPolicy",
            "resourceQuota",
            "prometheusRule",
            "admissionPolicy",
            "imageWarmer",
        )
    },
}
"""Values that make every template render."""


def run_tool(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run helm or kubectl. Skips the test where it is missing."""
    tool = find_tool(name)
    if tool is None:
        pytest.skip(f"{name} is not here; get it with: make tools")
    return subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)


def template(
    values: Mapping[str, Any], *, release: str = "rel", namespace: str = NAMESPACE
) -> subprocess.CompletedProcess[str]:
    """Run helm template with these values."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump(values, file)
        file.flush()
        return run_tool("helm", "template", release, CHART, "--namespace", namespace, "--values", file.name)


def render(values: Mapping[str, Any], *, release: str = "rel") -> list[Object]:
    """The objects of an installation with these values."""
    return [*_parse(_rendered(json.dumps(values), release))]


def refusal(values: Mapping[str, Any]) -> str:
    """What helm says to values it refuses."""
    answer = template(values)
    assert answer.returncode, "helm took these values"
    return answer.stderr


def pick(objects: list[Object], kind: str, name: str | None = None) -> Object:
    """The one object of a kind."""
    found = [o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"])]
    assert len(found) == 1, [o["metadata"]["name"] for o in found]
    return found[0]


def pod_specs(objects: list[Object]) -> list[tuple[str, Object]]:
    """Every Pod's spec, with where it is."""
    found = []
    for thing in objects:
        where, spec = f"{thing['kind']}/{thing['metadata']['name']}", thing.get("spec", {})
        if thing["kind"] == "Pod":
            found.append((where, spec))
        elif thing["kind"] in ("Job", "Deployment", "DaemonSet"):
            found.append((where, spec["template"]["spec"]))
        elif thing["kind"] == "CronJob":
            found.append((where, spec["jobTemplate"]["spec"]["template"]["spec"]))
    return found


@functools.cache
def _rendered(values: str, release: str) -> str:
    answer = template(json.loads(values), release=release)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def _parse(text: str) -> list[Object]:
    return [document for document in yaml.load_all(text, Loader=yaml.CSafeLoader) if document]
