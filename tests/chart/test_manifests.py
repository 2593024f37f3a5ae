"""k8s/, the chart and the launcher make the same objects."""

from __future__ import annotations

import functools
from typing import Any

import kubernetes_validate
import pytest
import yaml

from launcher.kubernetes.options import ClusterOptions
from tests.chart.helm import Object, pick, pod_specs, render, run_tool
from tests.chart.restricted import check_restricted
from tests.chart.test_objects import KUBERNETES
from tools.chart.manifests import BASE, MANIFESTS, OVERLAYS, example_job, manifests, render_chart

FOLDERS = {"base": BASE, **{f"overlays/{name}": {**BASE, **values} for name, values in OVERLAYS.items()}}
OWN = {"Namespace", "Service", "Deployment", "Secret", "ResourceFlavor", "ClusterQueue", "LocalQueue"}
"""Kinds that k8s/ has and the chart leaves to others."""

JOBS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "slice": {"gpus": 2, "gpuResource": "nvidia.com/mig-1g.5gb", "memory": "3Gi", "cpu": "500m"},
    "cpu": {"gpus": 0, "scratchSize": "1Gi"},
    "placed": {
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "runtimeClass": "nvidia",
        "priorityClass": "batch",
    },
    "openshift": {"runAsUser": None},
    "env": {"env": {"HTTPS_PROXY": "http://proxy"}, "envFromSecrets": ["exchange"], "envFromConfigMaps": ["settings"]},
}


@functools.cache
def kustomize(folder: str) -> list[Object]:
    answer = run_tool("kubectl", "kustomize", MANIFESTS / folder)
    assert answer.returncode == 0, answer.stderr
    return [document for document in yaml.safe_load_all(answer.stdout) if document]


def normal(thing: Object) -> Object:
    """An object in which the order of environment variables and the spelling of a document don't count."""
    thing = yaml.safe_load(yaml.safe_dump(thing))
    if thing["kind"] == "ConfigMap":
        thing["data"] = {key: yaml.safe_load(text) for key, text in thing["data"].items()}
    for _, spec in pod_specs([thing]):
        for container in spec["containers"]:
            container["env"].sort(key=lambda entry: entry["name"])
    return thing


def without_spec(job: Object) -> Object:
    """A Job without its spec and digest: a new field of a spec makes no example old."""
    digest = job["metadata"]["annotations"]["atb/spec-digest"]
    text = yaml.safe_dump(job).replace(digest, "DIGEST")
    plain: Object = yaml.safe_load(text)
    plain["spec"]["template"]["spec"]["containers"][0]["command"][3] = "SPEC"
    return plain


def test_what_is_written_is_current() -> None:
    for path, text in manifests().items():
        if path.name == "example-job.yaml":
            continue
        assert path.read_text() == text, f"{path.relative_to(MANIFESTS)} is old; write it with: make chart-docs"


@pytest.mark.parametrize("folder", FOLDERS)
def test_kustomize_gives_the_charts_objects(folder: str) -> None:
    ours = {(o["kind"], o["metadata"]["name"]): normal(o) for o in kustomize(folder) if o["kind"] not in OWN}
    charts = {(o["kind"], o["metadata"]["name"]): normal(o) for o in render_chart(FOLDERS[folder])}
    assert ours.keys() == charts.keys()
    for name, thing in charts.items():
        assert ours[name] == thing


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_manifest_is_valid_and_restricted(folder: str) -> None:
    objects = kustomize(folder)
    for thing in objects:
        if "kueue" not in thing["apiVersion"]:
            kubernetes_validate.validate(thing, KUBERNETES[0], strict=True)
    for where, spec in pod_specs(objects):
        assert check_restricted(spec) == [], where
    levels = pick(objects, "Namespace")["metadata"]["labels"]
    assert {levels[f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "warn", "audit")} == {"restricted"}


def test_the_example_is_what_the_launcher_creates() -> None:
    example = yaml.safe_load((MANIFESTS / "example-job.yaml").read_text())
    options = yaml.safe_load(pick(kustomize("base"), "ConfigMap")["data"]["cluster.yaml"])
    built = example_job(ClusterOptions.model_validate(options))
    assert without_spec(example) == without_spec({**built, "metadata": {**built["metadata"], "namespace": "atb"}})
    assert check_restricted(example["spec"]["template"]["spec"]) == []
    for version in KUBERNETES:
        kubernetes_validate.validate(example, version, strict=True)


@pytest.mark.parametrize("case", JOBS)
def test_the_charts_test_pod_stands_where_a_job_would_and_may_do_as_much(case: str) -> None:
    objects = render({"store": {"secret": "keys"}, "imagePullSecrets": ["registry"], "jobs": JOBS[case]})
    options = ClusterOptions.model_validate(yaml.safe_load(pick(objects, "ConfigMap")["data"]["cluster.yaml"]))
    job = example_job(options)["spec"]["template"]["spec"]
    test = pick(objects, "Pod", "rel-atb-test-trainer")["spec"]
    own = {"activeDeadlineSeconds", "containers", "terminationGracePeriodSeconds"}
    assert {key: test[key] for key in test if key not in own} == {key: job[key] for key in job if key not in own}
    (ours,), (theirs,) = test["containers"], job["containers"]
    for field in ours.keys() - {"name", "command", "env"}:
        assert ours[field] == theirs[field], field
    assert all(entry in theirs["env"] for entry in ours["env"])


@pytest.mark.parametrize("case", JOBS)
def test_the_launchers_pod_is_as_confined_as_a_job(case: str) -> None:
    objects = render({**BASE, "jobs": JOBS[case]})
    options = ClusterOptions.model_validate(yaml.safe_load(pick(objects, "ConfigMap")["data"]["cluster.yaml"]))
    job = example_job(options)["spec"]["template"]["spec"]
    launcher = pick(objects, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    for field in ("restartPolicy", "enableServiceLinks", "securityContext"):
        assert launcher[field] == job[field]
    for field in ("securityContext", "terminationMessagePolicy"):
        assert launcher["containers"][0][field] == job["containers"][0][field]
    assert launcher["containers"][0]["envFrom"] == job["containers"][0]["envFrom"][:1], "the store's credentials alone"


def test_the_local_s3_server_makes_the_bucket_of_the_store_and_takes_its_keys() -> None:
    objects = kustomize("overlays/local-s3")
    server = pick(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    assert "-bucket=atb" in server["command"]
    assert server["envFrom"] == [{"secretRef": {"name": pick(objects, "Secret")["metadata"]["name"]}}]
    assert set(pick(objects, "Secret")["data"]) == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    service = pick(objects, "Service")["metadata"]
    launcher = pick(objects, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    endpoint = next(entry["value"] for entry in launcher["env"] if entry["name"] == "AWS_ENDPOINT_URL_S3")
    assert endpoint == f"http://{service['name']}.{service['namespace']}.svc:8333"
