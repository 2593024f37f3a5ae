"""What the chart renders, for each way of installing it."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest
import yaml

from launcher.kubernetes.options import ClusterOptions
from tests.chart.helm import CHART, DAILY, EVERYTHING, NAMESPACE, Object, pick, pod_specs, render, run_tool, template
from tests.chart.restricted import check_restricted

KUBERNETES = ("1.33", "1.34", "1.35", "1.36", "1.37")
WARMER = "DaemonSet/rel-atb-image-warmer"
"""Its Pods sleep: they write nothing and have no credentials."""
CUSTOM = {"PrometheusRule"}
"""Third-party kinds, whose schemas Kubernetes does not publish."""

INSTALLATIONS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "s3-with-keys": EVERYTHING,
    "irsa": {
        "schedules": [DAILY],
        **{
            name: {"serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/atb"}}}
            for name in ("launcher", "trainer")
        },
    },
    "kueue": {"schedules": [DAILY], "jobs": {"queue": "training", "priorityClass": "batch"}},
    "cpu-only": {"schedules": [DAILY], "jobs": {"gpus": 0}},
    "openshift": {"schedules": [DAILY], "jobs": {"runAsUser": None}},
    "30-schedules": {"schedules": [{**DAILY, "name": f"schedule-{n}"} for n in range(30)]},
}


@pytest.mark.parametrize("name", INSTALLATIONS)
def test_every_object_is_valid_on_every_supported_kubernetes(name: str) -> None:
    kinds = {}
    for thing in render(INSTALLATIONS[name]):
        if thing["kind"] not in CUSTOM:
            kinds[thing["kind"], thing["metadata"].get("name") if name == "s3-with-keys" else ""] = thing
    versions = KUBERNETES if name == "s3-with-keys" else KUBERNETES[-1:]
    for thing in kinds.values():
        for version in versions:
            kubernetes_validate.validate(thing, version, strict=True)


@pytest.mark.parametrize("name", INSTALLATIONS)
def test_every_pod_passes_the_restricted_level_and_has_a_read_only_root(name: str) -> None:
    for where, spec in pod_specs(render(INSTALLATIONS[name])):
        assert check_restricted(spec) == [], where
        for container in spec["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, where
            mounts = container.get("volumeMounts", [])
            assert where == WARMER or {"name": "scratch", "mountPath": "/tmp"} in mounts, where
            assert container["resources"]["limits"]["memory"], where


@pytest.mark.parametrize("name", INSTALLATIONS)
def test_the_options_that_jobs_are_made_with_are_the_launchers_own(name: str) -> None:
    config = pick(render(INSTALLATIONS[name]), "ConfigMap", "rel-atb-cluster")
    options = ClusterOptions.model_validate(yaml.safe_load(config["data"]["cluster.yaml"]))
    assert options.namespace == NAMESPACE
    assert options.run_as_user == (None if name == "openshift" else 10001)
    assert options.gpus == (0 if name == "cpu-only" else 1)
    assert options.env_from_secrets == (("keys",) if name == "s3-with-keys" else ())


def test_lint_finds_nothing() -> None:
    answer = run_tool("helm", "lint", "--strict", CHART)
    assert answer.returncode == 0, answer.stdout


def test_no_job_is_in_the_chart_but_hooks() -> None:
    for thing in render(EVERYTHING):
        hook = "helm.sh/hook" in thing["metadata"].get("annotations", {})
        assert hook or thing["kind"] not in ("Job", "Pod", "Deployment"), thing["metadata"]["name"]


def test_only_the_launcher_has_a_token_and_a_role() -> None:
    objects = render(EVERYTHING)
    tokens = [where for where, spec in pod_specs(objects) if spec["automountServiceAccountToken"]]
    assert tokens == ["CronJob/rel-atb-daily"]
    for kind in ("RoleBinding", "ClusterRoleBinding"):
        assert [subject["name"] for subject in pick(objects, kind)["subjects"]] == ["rel-atb-launcher"]


def test_credentials_are_only_ever_referred_to() -> None:
    objects = render(EVERYTHING)
    for where, spec in pod_specs(objects):
        for container in [] if where == WARMER else spec["containers"]:
            assert container["envFrom"] == [{"secretRef": {"name": "keys"}}], where
            names = {entry["name"] for entry in container["env"]}
            assert not names & {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}, where
    assert "Secret" not in {thing["kind"] for thing in objects}


def test_no_pod_shares_its_process_namespace_where_the_values_say_so() -> None:
    for shared in (True, False):
        objects = render({**EVERYTHING, "jobs": {"shareProcessNamespace": shared}})
        found = {where: "shareProcessNamespace" in spec for where, spec in pod_specs(objects) if where != WARMER}
        assert len(found) == 4
        assert set(found.values()) == {shared}
        config = pick(objects, "ConfigMap", "rel-atb-cluster")
        assert yaml.safe_load(config["data"]["cluster.yaml"])["share_process_namespace"] is shared


def test_the_trainers_test_asks_for_what_jobs_ask_for() -> None:
    values = {"jobs": {"gpus": 2, "gpuResource": "example.com/gpu", "memory": "3Gi"}}
    test = pick(render(values), "Pod", "rel-atb-test-trainer")["spec"]
    assert test["containers"][0]["command"] == ["atb", "doctor", "--store", "s3://atb", "--gpus", "2"]
    assert test["containers"][0]["resources"]["limits"] == {"memory": "3Gi", "example.com/gpu": "2"}
    assert {"key": "example.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in test["tolerations"]
    assert "tolerations" not in pick(render({"jobs": {"gpus": 0}}), "Pod", "rel-atb-test-trainer")["spec"]


def test_the_trainers_test_takes_a_cpu_where_jobs_do() -> None:
    test = pick(render({"jobs": {"requireGpu": False}}), "Pod", "rel-atb-test-trainer")["spec"]["containers"][0]
    assert test["command"][-2:] == ["--gpus", "0"]
    assert test["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_the_image_warmer_goes_where_jobs_go_and_holds_nothing() -> None:
    jobs = {"gpus": 2, "gpuResource": "example.com/gpu", "nodeSelector": {"pool": "night"}, "runtimeClass": "nvidia"}
    objects = render({"imageWarmer": {"enabled": True}, "trainer": {"image": {"tag": "7"}}, "jobs": jobs})
    warmer = pick(objects, "DaemonSet")["spec"]
    spec, trainer = warmer["template"]["spec"], pick(objects, "Pod", "rel-atb-test-trainer")["spec"]
    assert spec["nodeSelector"] == {"pool": "night", "nvidia.com/gpu.present": "true"}
    assert (spec["tolerations"], spec["runtimeClassName"]) == (trainer["tolerations"], "nvidia")
    (sleep,) = spec["containers"]
    assert sleep["image"] == trainer["containers"][0]["image"] == "atb-trainer:7"
    assert sleep["resources"] == {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"memory": "32Mi"}}
    assert not {"volumes", "serviceAccountName", "initContainers"} & spec.keys()
    assert warmer["selector"]["matchLabels"].items() <= warmer["template"]["metadata"]["labels"].items()


def test_no_image_is_warmed_by_default() -> None:
    assert "DaemonSet" not in {thing["kind"] for thing in render({"schedules": [DAILY]})}


def test_the_network_policy_opens_the_stores_port_and_the_api_server_to_the_launcher_alone() -> None:
    objects = render(EVERYTHING)

    def ports(name: str) -> set[int]:
        rules = pick(objects, "NetworkPolicy", name)["spec"]["egress"]
        return {port["port"] for rule in rules for port in rule["ports"]}

    assert ports("rel-atb-trainer") == {53, 443, 8333}
    assert ports("rel-atb-launcher") == {53, 443, 8333, 6443, 9091}


@pytest.mark.parametrize(("url", "port"), [("http://minio", 80), ("https://minio", 443), ("https://minio:9443/", 9443)])
def test_the_stores_port_is_read_from_its_address(url: str, port: int) -> None:
    values = {"store": {"endpointUrl": url}, "networkPolicy": {"enabled": True, "ports": [1]}}
    rules = pick(render(values), "NetworkPolicy", "rel-atb-trainer")["spec"]["egress"]
    assert [entry["port"] for entry in rules[1]["ports"]] == [1, port]


def test_the_alert_counts_from_the_last_success_and_scales_with_the_period() -> None:
    hourly = {**DAILY, "name": "hourly", "cron": "@hourly"}
    values = {**EVERYTHING, "schedules": [DAILY, hourly]}
    found = pick(render(values), "PrometheusRule")["spec"]["groups"][0]["rules"]
    rules = [rule for rule in found if rule["alert"] == "AtbScheduleWithoutSuccess"]
    assert [int(rule["expr"].split("> ")[1].split()[0]) for rule in rules] == [2 * 86_400, 2 * 3_600]
    assert all("kube_cronjob_status_last_successful_time" in rule["expr"] for rule in rules)


def test_the_admission_policy_covers_the_launchers_jobs_in_this_namespace() -> None:
    policy = pick(render(EVERYTHING), "ValidatingAdmissionPolicy")["spec"]
    assert policy["matchConstraints"]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] == NAMESPACE
    assert "system:serviceaccount:train:rel-atb-launcher" in policy["matchConditions"][0]["expression"]
    checked = " ".join(rule["expression"] for rule in policy["validations"])
    for field in ("activeDeadlineSeconds", "ttlSecondsAfterFinished", "limits"):
        assert field in checked


def test_objects_have_distinct_names_and_carry_the_release() -> None:
    objects: list[Object] = render(EVERYTHING)
    names = [(thing["kind"], thing["metadata"]["name"]) for thing in objects]
    assert len(set(names)) == len(names)
    assert all(thing["metadata"]["labels"]["app.kubernetes.io/instance"] == "rel" for thing in objects)


def test_the_same_release_in_two_namespaces_shares_no_object_of_the_cluster() -> None:
    def names(namespace: str) -> set[tuple[str, str]]:
        objects = yaml.safe_load_all(template(EVERYTHING, namespace=namespace).stdout)
        return {(one["kind"], one["metadata"]["name"]) for one in objects if "namespace" not in one["metadata"]}

    found = names("team-a"), names("team-b")
    assert {kind for kind, _ in found[0]} >= {"ClusterRole", "ClusterRoleBinding", "ValidatingAdmissionPolicy"}
    assert not found[0] & found[1]


def test_names_that_yaml_takes_for_numbers_stay_text() -> None:
    objects = render({"schedules": [{**DAILY, "name": "1e3"}]}, release="2026")
    for thing in objects:
        assert all(isinstance(value, str) for value in thing["metadata"]["labels"].values()), thing["metadata"]
    template = pick(objects, "CronJob")["spec"]["jobTemplate"]
    assert template["metadata"]["labels"]["atb/schedule"] == "1e3"


@pytest.mark.parametrize(("override", "name"), [("My Name_1", "my-name-1"), ("{{ .x }}", "x"), ("ä\n", "atb")])
def test_a_name_of_ones_own_becomes_one_that_kubernetes_takes(override: str, name: str) -> None:
    objects = render({"schedules": [DAILY], "fullnameOverride": override})
    assert pick(objects, "CronJob")["metadata"]["name"] == f"{name}-daily"
