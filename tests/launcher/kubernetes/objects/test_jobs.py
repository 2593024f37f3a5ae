"""The rendered objects: golden files, every schema from 1.33 to 1.37, and what each option changes."""

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
from launcher.kubernetes.objects.job_status import read_job
from launcher.kubernetes.objects.jobs import build_job, build_owner, job_name, owner_name
from launcher.kubernetes.objects.patch import merge_patch
from launcher.kubernetes.objects.pod import Target, keep_off_nodes
from launcher.kubernetes.objects.render import render_yaml
from launcher.kubernetes.options import ClusterOptions
from tests.apiserver.state import check_object
from tests.launcher.fixtures import make_plan, make_try

GOLDEN = Path(__file__).parent / "golden"
IMAGE = "registry.example/atb@sha256:" + "0" * 64
TARGET = Target("nightly-1", "s3://models/atb", "https://s3.example", "3c3a4e5e-0000-4000-8000-000000000001")
VERSIONS = ("1.33", "1.34", "1.35", "1.36", "1.37")

OPTIONS: dict[str, ClusterOptions] = {
    "gpu": ClusterOptions(image=IMAGE),
    "cpu": ClusterOptions(image=IMAGE, gpus=0, cpu="500m", memory="2Gi"),
    "full": ClusterOptions(
        image=IMAGE,
        image_pull_policy="Always",
        image_pull_secrets=("registry",),
        namespace="lab",
        service_account="trainer",
        spot="capacity=spot",
        cpu="6",
        memory="24Gi",
        max_memory="48Gi",
        gpus=2,
        gpu_resource="nvidia.com/mig-1g.10gb",
        require_gpu=False,
        node_selector={"pool": "gpu"},
        tolerations=({"key": "spot", "operator": "Exists", "effect": "NoSchedule"},),
        affinity={
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]},
                        {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]},
                    ]
                }
            }
        },
        runtime_class="nvidia",
        priority_class="batch-low",
        queue="team-a",
        workload_priority="nightly",
        pod_patch={
            "spec": {"dnsPolicy": "ClusterFirst", "volumes": [{"name": "scratch", "emptyDir": {"medium": "Memory"}}]}
        },
        node_loss_seconds=30,
        resources={"rdma/hca": "1"},
        resource_claim_template="one-gpu",
        env={"TF_CPP_MIN_LOG_LEVEL": "2"},
        env_plain={"DESK": "night"},
        env_from_secrets=("store-keys",),
        env_from_config_maps=("store-settings",),
        labels={"team": "quant", labels.RUN_LABEL: "mine"},
        annotations={"owner": "Ada"},
        run_as_user=None,
        share_process_namespace=False,
        scratch_size="20Gi",
        deadline_seconds=7200,
        ttl_seconds=86_400,
        termination_grace_seconds=60,
        backoff_limit=1,
    ),
}
TRIES = {
    "gpu": make_try(),
    "cpu": make_try(memory="2Gi"),
    "full": make_try(
        memory="36Gi",
        deadline_seconds=5400,
        ordinal=2,
        oom=1,
        infrastructure=1,
        cause="after oom",
        avoid=("node-7",),
        exclude=("node-3", "node-5"),
    ),
}


def render(name: str, symbol: str = "BTC/USDT:USDT") -> dict[str, Any]:
    return build_job(make_plan(symbol).jobs[0], TARGET, OPTIONS[name], TRIES[name])


def container(body: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = body["spec"]["template"]["spec"]["containers"][0]
    return found


@pytest.mark.parametrize("name", [*OPTIONS, "owner"])
def test_the_rendered_object_is_the_golden_one(name: str) -> None:
    body = build_owner(TARGET) if name == "owner" else render(name)
    planned = make_plan("BTC/USDT:USDT").jobs[0]
    # what a spec holds is the spec's matter: a new field of it is no other Job
    text = render_yaml([body]).replace(planned.spec.model_dump_json(), "SPEC").replace(planned.spec_digest, "DIGEST")
    path = GOLDEN / f"{name}.yaml"
    if os.environ.get("ATB_WRITE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text(), "if this is meant: ATB_WRITE_GOLDEN=1"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", [*OPTIONS, "owner"])
def test_every_object_fits_the_schema_of_every_supported_version(name: str, version: str) -> None:
    body = build_owner(TARGET) if name == "owner" else render(name)
    assert kubernetes_validate.validate(body, version, strict=True) == version


@pytest.mark.parametrize("name", list(OPTIONS))
def test_pods_pass_the_restricted_level(name: str) -> None:
    pod = render(name)["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert all(set(volume) <= {"name", "emptyDir"} for volume in pod["volumes"])
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    security = pod["containers"][0]["securityContext"]
    assert security == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def test_interruptions_are_matched_before_exit_codes() -> None:
    rules = render("gpu")["spec"]["podFailurePolicy"]["rules"]
    assert [rule["action"] for rule in rules] == ["Ignore", "FailJob", "FailJob"]
    assert rules[0]["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert rules[1]["onExitCodes"]["values"] == [2, 10, 20, 21, 22, 30, 70]
    assert rules[2]["onExitCodes"]["values"] == [137]


def test_a_gpu_is_requested_by_default_and_its_taint_tolerated() -> None:
    body = render("gpu")
    assert container(body)["resources"]["limits"]["nvidia.com/gpu"] == "1"
    keys = body["spec"]["template"]["spec"]["tolerations"]
    assert keys == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]


def test_without_gpus_there_is_neither_a_device_nor_a_toleration() -> None:
    body = render("cpu")
    assert set(container(body)["resources"]["limits"]) == {"memory"}
    assert "tolerations" not in body["spec"]["template"]["spec"]


def test_consolidation_must_not_evict_training() -> None:
    notes = render("gpu")["spec"]["template"]["metadata"]["annotations"]
    assert notes["karpenter.sh/do-not-disrupt"] == "true"
    assert notes["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"


def test_a_job_is_suspended_only_when_a_queue_is_named() -> None:
    queued, plain = render("full"), render("gpu")
    assert queued["spec"]["suspend"] is True
    assert queued["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team-a"
    assert "suspend" not in plain["spec"]
    assert not any("kueue" in key for key in plain["metadata"]["labels"])


def test_the_raw_symbol_is_in_an_annotation_and_the_labels_are_valid() -> None:
    meta = render("gpu")["metadata"]
    assert meta["annotations"][labels.SYMBOL_ANNOTATION] == "BTC/USDT:USDT"
    assert "/" not in meta["labels"][labels.SYMBOL_LABEL]


def test_a_users_label_does_not_take_the_run_from_its_watch() -> None:
    assert render("full")["metadata"]["labels"][labels.RUN_LABEL] == "nightly-1"


def test_the_command_is_in_exec_form_and_carries_the_spec_whole() -> None:
    planned = make_plan("BTCUSDT").jobs[0]
    command = container(build_job(planned, TARGET, OPTIONS["gpu"], TRIES["gpu"]))["command"]
    assert command[:3] == ["atb", "train", "job"]
    assert type(planned.spec).from_bytes(command[3], "command") == planned.spec
    assert command[4:10] == ["--run", "nightly-1", "--store", "s3://models/atb", "--log-format", "json"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"gpus": 2}, ["--accelerator", "gpu", "--gpus", "2"]),
        ({"gpus": 0}, ["--accelerator", "cpu"]),
        ({"gpus": 4, "require_gpu": False}, ["--accelerator", "auto", "--gpus", "4"]),
    ],
)
def test_a_requested_gpu_is_never_silently_replaced_by_the_cpu(changes: Any, expected: list[str]) -> None:
    options = ClusterOptions(image=IMAGE, **changes)
    command = container(build_job(make_plan("BTCUSDT").jobs[0], TARGET, options, TRIES["gpu"]))["command"]
    assert command[10:] == expected


def test_a_dollar_is_doubled_so_that_the_kubelet_expands_nothing() -> None:
    target = Target("nightly-1", "s3://models/$(HOME)")
    command = container(build_job(make_plan("BTCUSDT").jobs[0], target, OPTIONS["gpu"], TRIES["gpu"]))["command"]
    assert "s3://models/$$(HOME)" in command


def test_excluded_nodes_are_in_every_alternative_and_the_users_affinity_stays() -> None:
    affinity = render("full")["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    terms = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert [term["matchExpressions"][0]["values"] for term in terms] == [["a"], ["b"]]
    for term in terms:
        assert [field["values"] for field in term["matchFields"]] == [["node-3"], ["node-5"]]


SPOT = ClusterOptions(image="x", spot="capacity=spot", node_selector={"pool": "gpu"})


def spec_on(options: ClusterOptions, **attempt: Any) -> dict[str, Any]:
    body = build_job(make_plan("BTCUSDT").jobs[0], TARGET, options, make_try(**attempt))
    pod: dict[str, Any] = body["spec"]["template"]["spec"]
    return pod


def test_a_job_runs_on_spot_nodes_until_it_has_left_them() -> None:
    assert spec_on(SPOT)["nodeSelector"] == {"pool": "gpu", "capacity": "spot"}
    assert "affinity" not in spec_on(SPOT)
    pod = spec_on(SPOT, on_demand=True)
    assert pod["nodeSelector"] == {"pool": "gpu"}
    required = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    terms = [{"matchExpressions": [{"key": "capacity", "operator": "NotIn", "values": ["spot"]}]}]
    assert required == {"nodeSelectorTerms": terms}


def test_a_job_on_demand_keeps_the_users_affinity_and_off_bad_nodes() -> None:
    terms = [{"matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]} for zone in ("a", "b")]
    node = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    options = SPOT.model_copy(update={"affinity": {"podAffinity": {}, "nodeAffinity": node}})
    affinity = spec_on(options, on_demand=True, exclude=("node-1",))["affinity"]
    assert affinity["podAffinity"] == {}
    found = affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert [[each["key"] for each in term["matchExpressions"]] for term in found] == [["zone", "capacity"]] * 2
    assert [term["matchFields"][0]["values"] for term in found] == [["node-1"]] * 2
    assert terms[0]["matchExpressions"][1:] == []


def test_a_jobs_status_says_whether_it_is_on_demand() -> None:
    for on_demand in (False, True):
        body = build_job(make_plan("BTCUSDT").jobs[0], TARGET, SPOT, make_try(on_demand=on_demand))
        body["metadata"] |= {"uid": "1", "creationTimestamp": "2026-11-01T12:00:00Z"}
        assert read_job(body).on_demand == on_demand


def test_an_avoided_node_is_only_chosen_last() -> None:
    affinity = keep_off_nodes({}, avoid=("node-1",), exclude=())["nodeAffinity"]
    assert list(affinity) == ["preferredDuringSchedulingIgnoredDuringExecution"]


def test_the_owner_is_referred_to_without_a_claim_on_its_finalizers() -> None:
    (owner,) = render("gpu")["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("ConfigMap", owner_name("nightly-1"), TARGET.owner_uid)
    assert "blockOwnerDeletion" not in owner


def test_each_try_has_a_name_of_its_own() -> None:
    names = {job_name("run", "BTCUSDT-fast", ordinal) for ordinal in range(20)}
    assert len(names) == 20


def test_every_option_changes_what_is_rendered_or_how_the_launcher_acts() -> None:
    acts = {"namespace", "max_memory", "oom_retries", "infrastructure_retries", "schedule_seconds", "start_seconds"}
    acts |= {
        "create_rate",
        "on_demand_after",
        "keep_jobs",
        "max_parallel",
        "deadline_seconds",
        "memory",
    }  # the last two are in the Job's attempt
    acts.add("nodes_may_come")  # the preflight reads it
    acts |= {"workers", "slots", "compile_cache"}  # there is another Job then: test_worker_job.py
    plain = build_job(make_plan("BTCUSDT").jobs[0], TARGET, OPTIONS["gpu"], TRIES["gpu"])
    for name in set(ClusterOptions.model_fields) - acts:
        changed = OPTIONS["gpu"].model_copy(update={name: getattr(OPTIONS["full"], name)})
        if name == "image":
            changed = OPTIONS["gpu"].model_copy(update={"image": "other"})
        body = build_job(make_plan("BTCUSDT").jobs[0], TARGET, changed, TRIES["gpu"])
        assert body != plain, f"nothing reads {name}"


def test_a_patch_merges_into_the_pod_and_leaves_what_the_launcher_needs() -> None:
    patch = {
        "metadata": {"labels": {"team": "quant", labels.RUN_LABEL: "mine"}},
        "spec": {
            "restartPolicy": "OnFailure",
            "hostNetwork": False,
            "volumes": [{"name": "data", "emptyDir": {}}],
            "containers": [{"name": "trainer", "env": [{"name": "A", "value": "1"}]}, {"name": "proxy", "image": "p"}],
        },
    }
    options = OPTIONS["gpu"].model_copy(update={"pod_patch": patch})
    plain = build_job(make_plan("BTCUSDT").jobs[0], TARGET, OPTIONS["gpu"], TRIES["gpu"])["spec"]["template"]
    template = build_job(make_plan("BTCUSDT").jobs[0], TARGET, options, TRIES["gpu"])["spec"]["template"]
    assert template["metadata"]["labels"] == {**plain["metadata"]["labels"], "team": "quant"}
    assert template["spec"]["restartPolicy"] == "Never"
    assert [volume["name"] for volume in template["spec"]["volumes"]] == ["scratch", "data"]
    trainer, proxy = template["spec"]["containers"]
    assert trainer == {
        **plain["spec"]["containers"][0],
        "env": [*plain["spec"]["containers"][0]["env"], {"name": "A", "value": "1"}],
    }
    assert proxy == {"name": "proxy", "image": "p"}


def test_none_in_a_patch_removes_a_field_and_other_lists_are_replaced() -> None:
    value = {"a": {"b": 1, "c": 2}, "args": [1, 2], "env": [{"name": "x", "value": "1"}]}
    patch = {"a": {"b": None}, "args": [3], "env": [{"name": "x", "value": None}]}
    assert merge_patch(value, patch) == {"a": {"c": 2}, "args": [3], "env": [{"name": "x"}]}


symbols = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9/:._-]{0,62}\Z")
runs = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,100}\Z")


@settings(max_examples=60, deadline=None)
@given(symbol=symbols, run=runs, ordinal=st.integers(0, 99))
def test_names_and_labels_are_valid_for_every_symbol_and_run(symbol: str, run: str, ordinal: int) -> None:
    planned = make_plan(symbol).jobs[0]
    body = build_job(planned, Target(run, "s3://b"), OPTIONS["gpu"], make_try(ordinal=ordinal))
    check_object(body)
    assert len(body["metadata"]["name"]) <= 63
    assert body["metadata"]["annotations"][labels.SYMBOL_ANNOTATION] == symbol


@given(st.lists(st.tuples(symbols, st.sampled_from(["fast", "quality"])), unique=True, min_size=2, max_size=12))
def test_different_jobs_of_a_run_have_different_names(jobs: list[tuple[str, str]]) -> None:
    names = {job_name("run", f"{symbol}-{preset}") for symbol, preset in jobs}
    assert len(names) == len({f"{symbol}-{preset}" for symbol, preset in jobs})


def test_a_planted_secret_is_in_no_rendered_object(monkeypatch: pytest.MonkeyPatch) -> None:
    planted = "wJalrXUtnFEMI-planted-bPxRfiCYEXAMPLEKEY"
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "BINANCE_API_KEY"):
        monkeypatch.setenv(name, planted)
    for name in OPTIONS:
        assert planted not in json.dumps(render(name))
    assert planted not in json.dumps(build_owner(TARGET))
