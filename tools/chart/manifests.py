"""k8s/ for those without Helm: what the chart renders, as plain files that kustomize puts together.

Base and overlays differ in ``cluster.yaml``, the launcher's options of the Jobs, and in small patches by hand.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from atb.contract.keys import job_id
from atb.contract.spec import resolve_spec
from atb.documents.plan import PlannedJob
from launcher.kubernetes.objects.jobs import JobAttempt, build_job
from launcher.kubernetes.objects.pod import Target
from launcher.kubernetes.options import ClusterOptions
from tools.unpack import find_tool

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "atb"
MANIFESTS = ROOT / "k8s"
NAMESPACE = "atb"
RELEASE = "atb"
SECRET = "atb-store"

BASE: dict[str, Any] = {
    "store": {"secret": SECRET},
    "schedules": [{"name": "daily", "cron": "15 0 * * *", "symbols": ["BTCUSDT", "ETHUSDT"]}],
}
"""The chart's values that k8s/base stands for."""

OVERLAYS: dict[str, dict[str, Any]] = {
    "local-s3": {"store": {"secret": SECRET, "endpointUrl": "http://s3.atb.svc:8333"}},
    "kueue": {"jobs": {"queue": "training"}},
}
"""… and what each overlay adds to them."""

EXAMPLE_AS_OF = datetime(2026, 11, 1, tzinfo=UTC)

_HEAD = "# Written by make chart-docs: the chart's own objects, and launcher/kubernetes/objects/jobs.py's Job.\n"
_OF_HELM = ("helm.sh/chart", "app.kubernetes.io/managed-by")


def render_chart(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The chart's objects but hooks, without the labels that are Helm's. Raises CalledProcessError."""
    helm = find_tool("helm")
    if helm is None:
        raise SystemExit("helm is not here; get it with: make tools")
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump(values, file)
        file.flush()
        command = [str(helm), "template", RELEASE, str(CHART), "--namespace", NAMESPACE, "--values", file.name]
        command += ["--no-hooks"]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    objects = [document for document in yaml.safe_load_all(text) if document]
    for thing in objects:
        for label in _OF_HELM:
            thing["metadata"]["labels"].pop(label, None)
    return objects


def example_job(options: ClusterOptions) -> dict[str, Any]:
    """What the launcher creates for one symbol, with these options."""
    spec = resolve_spec("BTCUSDT", "balanced", {"as_of": EXAMPLE_AS_OF, "days": 180})
    planned = PlannedJob(job=job_id("BTCUSDT", "balanced"), spec=spec, spec_digest=spec.digest)
    began = EXAMPLE_AS_OF + timedelta(minutes=15)
    attempt = JobAttempt(memory=options.memory, deadline_seconds=options.deadline_seconds, first_created=began)
    return build_job(planned, Target("example", "s3://atb"), options, attempt)


def manifests() -> dict[Path, str]:
    """Every written file of k8s/ with its content."""
    base = MANIFESTS / "base"
    objects = render_chart(BASE)
    cluster = next(thing for thing in objects if thing["kind"] == "ConfigMap")["data"]["cluster.yaml"]
    example = example_job(ClusterOptions.model_validate(yaml.safe_load(cluster)))
    example["metadata"]["namespace"] = NAMESPACE
    files = {
        base / "access.yaml": _dump(*(o for o in objects if o["kind"] in ("ServiceAccount", "Role", "RoleBinding"))),
        base / "cronjob.yaml": _dump(*(o for o in objects if o["kind"] == "CronJob")),
        base / "cluster.yaml": _HEAD + cluster,
        MANIFESTS / "example-job.yaml": _dump(example),
    }
    for name, values in OVERLAYS.items():
        config = next(thing for thing in render_chart({**BASE, **values}) if thing["kind"] == "ConfigMap")
        files[MANIFESTS / "overlays" / name / "cluster.yaml"] = _HEAD + config["data"]["cluster.yaml"]
    return files


class _Plain(yaml.SafeDumper):
    """Writes a thing that occurs twice twice, instead of an anchor."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _dump(*objects: dict[str, Any]) -> str:
    return _HEAD + yaml.dump_all(objects, Dumper=_Plain, sort_keys=False, width=120)
