"""What preflight says before anything is created. The fake server holds the nodes, quotas and queues of each test."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes.client import ApiClient, Configuration

from atb.errors import SpecError
from atb.storage import MemoryStore
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.connect import KubernetesConnection
from launcher.kubernetes.api.requests import ApiError
from launcher.kubernetes.options import ClusterOptions
from launcher.kubernetes.preflight.checks import check_all, pods_at_once, reach
from launcher.kubernetes.preflight.namespace_fit import check_limits, check_quotas
from launcher.kubernetes.preflight.node_fit import check_nodes, describe_sharing, matches, tolerates
from launcher.plan.backend import Check, validate_checks
from tests.apiserver.http import ApiServer
from tests.apiserver.kubelet import add_node
from tests.launcher.fixtures import LabClock, make_options, make_plan

PIN = "registry.example/atb@sha256:" + "0" * 64
TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}


class Bucket(MemoryStore):
    """The twin under a bucket's name."""

    url = "s3://models/atb"


def look(cluster: Cluster, **options: Any) -> dict[str, list[Check]]:
    found: dict[str, list[Check]] = {}
    chosen = make_options(**{"image": PIN, "gpus": 1, **options})
    for check in check_all(cluster, Bucket(), make_plan("BTCUSDT", "ETHUSDT"), chosen):
        found.setdefault(check.name, []).append(check)
    return found


def only(found: dict[str, list[Check]], name: str) -> Check:
    (check,) = found[name]
    return check


def test_a_good_cluster_passes_and_nothing_is_created(server: ApiServer, cluster: Cluster) -> None:
    add_node(server.state, "n1", taints=[TAINT])
    found = look(cluster)
    assert [check for checks in found.values() for check in checks if check.level != "ok"] == []
    assert only(found, "identity").text == "system:serviceaccount:test:launcher"
    assert server.state.items("jobs", "lab") == server.state.items("configmaps", "lab") == []


def test_a_right_that_is_missing_is_named(server: ApiServer, cluster: Cluster) -> None:
    server.denied |= {("create", "jobs"), ("get", "pods/log")}
    errors, notes = look(cluster)["permissions"]
    assert (errors.level, notes.level) == ("error", "note")
    assert "create jobs" in errors.text
    assert "get pods/log" in notes.text


def test_a_namespace_that_is_not_there_is_an_error(server: ApiServer, cluster: Cluster) -> None:
    server.state.remove("namespaces", "", "lab")
    assert "kubectl create namespace lab" in only(look(cluster), "namespace").text


@pytest.mark.parametrize(
    ("option", "kind"),
    [
        ({"env_from_secrets": ("keys",)}, "Secret"),
        ({"env_from_config_maps": ("settings",)}, "ConfigMap"),
        ({"service_account": "trainer"}, "ServiceAccount"),
        ({"priority_class": "low"}, "PriorityClass"),
        ({"runtime_class": "nvidia"}, "RuntimeClass"),
    ],
)
def test_what_pods_refer_to_must_be_there(cluster: Cluster, option: dict[str, Any], kind: str) -> None:
    assert only(look(cluster, **option), kind).level == "error"


def test_a_secrets_values_are_not_requested(server: ApiServer, cluster: Cluster) -> None:
    server.state.create("secrets", "lab", {"metadata": {"name": "keys"}})
    assert only(look(cluster, env_from_secrets=("keys",)), "Secret").level == "ok"
    (request,) = server.seen("GET", "/secrets/keys")
    assert "PartialObjectMetadata" in request.headers["Accept"]


def test_a_queue_needs_kueue_and_must_be_there(server: ApiServer, cluster: Cluster) -> None:
    assert "not installed" in only(look(cluster, queue="team-a"), "queue").text
    server.kueue = True
    assert "no LocalQueue" in only(look(cluster, queue="team-a"), "queue").text
    server.state.create("localqueues", "lab", {"metadata": {"name": "team-a"}, "status": {"pendingWorkloads": 3}})
    assert only(look(cluster, queue="team-a"), "queue").text == "team-a, 3 waiting"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nodes$"), ("GET", "/limitranges$"), ("GET", "/resourcequotas$"), ("GET", "/version$"),
        ("GET", "/namespaces/lab$"), ("POST", "/selfsubjectaccessreviews$"),
    ],
)  # fmt: skip
def test_what_can_not_be_asked_is_a_warning(server: ApiServer, cluster: Cluster, method: str, path: str) -> None:
    add_node(server.state, "n1")
    server.fail(method, path, 410, times=100)
    doubts = [check for checks in look(cluster).values() for check in checks if check.level != "ok"]
    assert [(check.level, check.name) for check in doubts] == [("warning", "unanswered")]


def test_nodes_we_may_not_see_are_only_noted(server: ApiServer, cluster: Cluster) -> None:
    server.denied.add(("list", "nodes"))
    assert only(look(cluster), "nodes").level == "note"


def test_a_server_dry_run_checks_whether_the_job_is_accepted(server: ApiServer, cluster: Cluster) -> None:
    server.fail("POST", "/jobs$", 403, message='admission webhook "policy" denied the request: no team label')
    assert "no team label" in only(look(cluster), "dry run").text
    assert server.seen("POST", "/jobs$", dryRun="All", fieldValidation="Strict")


def test_a_directory_is_no_store_for_pods(cluster: Cluster) -> None:
    found = check_all(cluster, MemoryStore(), make_plan("BTCUSDT"), make_options())
    assert any(check.name == "store" and check.level == "error" for check in found)


def test_an_image_by_tag_is_noted(cluster: Cluster) -> None:
    assert only(look(cluster, image="atb:latest"), "image").level == "note"


def test_the_first_error_is_printed_and_the_others_counted() -> None:
    with pytest.raises(SpecError, match=r"nothing was created: a: first \(and 1 more above\)"):
        validate_checks([Check("error", "a", "first"), Check("note", "b", "x"), Check("error", "c", "second")])


def node(gpus: int = 1, *, taints: list[Any] | None = None, labels: dict[str, str] | None = None, **spec: Any) -> Any:
    allocatable = {"cpu": "8", "memory": "32Gi", "pods": "110", "nvidia.com/gpu": str(gpus)}
    return {
        "metadata": {"name": "n1", "labels": labels or {}},
        "spec": {"taints": taints or [], **spec},
        "status": {"allocatable": allocatable},
    }


GPU = ClusterOptions(image=PIN)


def test_the_room_for_jobs_at_a_time_is_counted() -> None:
    assert check_nodes([node(4), node(2), node(0)], GPU, 10) == ("ok", "2 of 3 fit, room for 6 at a time of 10")


@pytest.mark.parametrize(
    ("nodes", "options", "message"),
    [
        ([node(0)], {}, "1 without nvidia.com/gpu"),
        ([node(1)], {"gpus": 4}, "1 with too little nvidia.com/gpu"),
        ([node(1)], {"memory": "30Gi", "cpu": "12"}, "1 with too little cpu"),
        ([node(1, taints=[{"key": "spot", "effect": "NoSchedule"}])], {}, "1 with the taint spot"),
        ([node(1)], {"node_selector": {"zone": "a"}}, "1 without the labels asked for"),
        ([node(1, unschedulable=True)], {}, "1 cordoned"),
        ([], {}, "there are none"),
    ],
)
def test_a_job_that_can_never_run_is_an_error_that_says_why(nodes: list[Any], options: Any, message: str) -> None:
    level, text = check_nodes(nodes, ClusterOptions(image=PIN, **options), 1)
    assert level == "error"
    assert message in text


def test_where_nodes_can_be_added_it_is_a_warning() -> None:
    growing = node(0, labels={"karpenter.sh/nodepool": "cpu"})
    assert check_nodes([growing], GPU, 1)[0] == "warning"


def test_spot_nodes_must_be_there_unless_jobs_may_go_elsewhere() -> None:
    spot = ClusterOptions(image=PIN, spot="capacity=spot")
    plain, cheap = node(1), node(1, labels={"capacity": "spot"})
    assert check_nodes([plain, cheap], spot, 1)[0] == "ok"
    assert check_nodes([plain], spot, 1)[0] == "error"
    level, text = check_nodes([plain], spot.model_copy(update={"on_demand_after": 2}), 1)
    assert level == "warning"
    assert "jobs that find none in time go to other nodes" in text


def test_the_gpus_own_taint_is_tolerated_whatever_its_value() -> None:
    assert check_nodes([node(1, taints=[TAINT])], GPU, 1)[0] == "ok"


def test_quotas_that_forbid_differ_from_quotas_that_delay() -> None:
    quota = {
        "metadata": {"name": "q"},
        "status": {
            "hard": {"requests.nvidia.com/gpu": "4", "limits.memory": "4Gi", "services": "0"},
            "used": {"requests.nvidia.com/gpu": "2"},
        },
    }
    found = list(check_quotas([quota], GPU, 10))
    assert found == [
        ("warning", "q: requests.nvidia.com/gpu leaves room for 2 of 10 jobs at a time"),
        ("error", "q: limits.memory is limited to 4Gi, one job needs 8Gi"),
    ]


def test_a_quota_for_some_pods_alone_is_left_to_the_server() -> None:
    scope = {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["low"]}]}
    quota = {"metadata": {"name": "q"}, "spec": {"scopeSelector": scope}, "status": {"hard": {"pods": "0"}}}
    assert list(check_quotas([quota], GPU, 10)) == []


@pytest.mark.parametrize(
    ("spec", "counts"),
    [
        ({}, True),
        ({"scopes": ["NotTerminating", "NotBestEffort"]}, True),
        ({"scopes": ["Terminating"]}, False),
        ({"scopes": ["BestEffort"]}, False),
        ({"scopes": ["PriorityClass"]}, True),
        ({"scopes": ["CrossNamespacePodAffinity"]}, False),
        *(
            ({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", **term}]}}, counts)
            for term, counts in (
                ({"operator": "In", "values": ["low", "high"]}, True),
                ({"operator": "NotIn", "values": ["low"]}, False),
                ({"operator": "Exists"}, True),
                ({"operator": "DoesNotExist"}, False),
            )
        ),
    ],
)
def test_a_quota_counts_the_pods_of_its_scopes(spec: dict[str, Any], counts: bool) -> None:
    quota = {"metadata": {"name": "q"}, "spec": spec, "status": {"hard": {"pods": "0"}}}
    found = list(check_quotas([quota], make_options(priority_class="low"), 10))
    assert found == ([("error", "q: pods is limited to 0, one job needs 1")] if counts else [])


def test_a_quota_of_cpu_limits_needs_a_limit_in_each_pod() -> None:
    quota = {"metadata": {"name": "q"}, "status": {"hard": {"limits.cpu": "10"}, "used": {"limits.cpu": "12"}}}
    ((level, text),) = check_quotas([quota], make_options(cpu="1"), 3)
    assert (level, "each container needs a CPU limit" in text) == ("error", True)
    given = limit_range("Container", default={"cpu": "4"})
    assert list(check_quotas([quota], make_options(cpu="1"), 3, [given])) == [
        ("warning", "q: limits.cpu leaves room for 0 of 3 jobs at a time")
    ]
    sidecar = {"name": "proxy", "resources": {"limits": {"cpu": "8"}}}
    trainer = {"name": "trainer", "resources": {"limits": {"cpu": "4"}}}
    patched = make_options(cpu="1", pod_patch={"spec": {"containers": [trainer, sidecar]}})
    assert list(check_quotas([quota], patched, 3)) == [("error", "q: limits.cpu is limited to 10, one job needs 12")]


def test_a_node_that_has_just_registered_has_no_room_yet() -> None:
    assert check_nodes([{"metadata": {"name": "new"}}], GPU, 1)[0] == "error"


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "nvidia.com/gpu", "operator": "Exists"}, True),
        ({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "nvidia.com/gpu", "value": "present"}, True),
        ({"key": "nvidia.com/gpu", "value": "absent"}, False),
    ],
)
def test_tolerations_are_read_as_the_scheduler_reads_them(toleration: Any, tolerated: bool) -> None:
    assert tolerates([toleration], TAINT) is tolerated


@pytest.mark.parametrize(
    ("operator", "values", "met"),
    [
        ("In", ["a"], True),
        ("NotIn", ["a"], False),
        ("Exists", [], True),
        ("DoesNotExist", [], False),
        ("Gt", ["1"], False),
    ],
)
def test_affinity_is_read_as_the_scheduler_reads_it(operator: str, values: list[str], met: bool) -> None:
    term = {"matchExpressions": [{"key": "zone", "operator": operator, "values": values}]}
    assert matches(term, node(labels={"zone": "a"})) is met
    assert not matches({}, node())


def test_an_unreachable_server_is_reported_soon_with_a_remedy() -> None:
    waited: list[float] = []
    nowhere = Configuration(host="http://127.0.0.1:9")
    nowhere.retries = False
    cluster = Cluster(lambda: KubernetesConnection(ApiClient(nowhere)), "lab", clock=LabClock(sleep=waited.append))
    with pytest.raises(ApiError, match=r"127\.0\.0\.1.*; correct the kubeconfig, or add --backend local"):
        reach(cluster)
    assert waited == [1.0, 2.0]
    cluster.close()


@pytest.mark.parametrize(
    ("resource", "labels", "message"),
    [
        ("nvidia.com/gpu", {}, ""),
        ("nvidia.com/gpu", {"nvidia.com/gpu.sharing-strategy": "none"}, ""),
        (
            "nvidia.com/gpu",
            {"nvidia.com/gpu.sharing-strategy": "time-slicing", "nvidia.com/gpu.replicas": "4"},
            "1 node by time slices, 4 Pods to a GPU; none has the GPU or its memory to itself",
        ),
        (
            "nvidia.com/gpu",
            {"nvidia.com/gpu.sharing-strategy": "mps", "nvidia.com/gpu.replicas": "2"},
            "1 node by MPS, 2 Pods to a GPU; none has the GPU or its memory to itself",
        ),
        (
            "nvidia.com/mig-1g.10gb",
            {"nvidia.com/gpu.product": "NVIDIA-H100-80GB"},
            "1 node by MIG (NVIDIA-H100-80GB): each slice has memory of its own",
        ),
    ],
)
def test_shared_gpus_are_recognized_by_the_labels_of_their_nodes(
    resource: str, labels: dict[str, str], message: str
) -> None:
    node = {
        "metadata": {"name": "a", "labels": labels},
        "status": {"allocatable": {"cpu": "16", "memory": "64Gi", "pods": "110", resource: "4"}},
    }
    options = ClusterOptions(image="atb", gpu_resource=resource)
    assert describe_sharing([node], options) == message


@pytest.mark.parametrize(
    ("changes", "pods"), [({}, 9), ({"workers": 3}, 3), ({"workers": 30}, 5), ({"workers": "auto"}, 5)]
)
def test_a_packed_run_has_no_more_pods_at_a_time_than_workers(changes: dict[str, Any], pods: int) -> None:
    assert pods_at_once(ClusterOptions(image="atb", cpu="2", **changes), 9) == pods


def limit_range(kind: str, **limits: dict[str, str]) -> dict[str, Any]:
    return {"metadata": {"name": "bounds"}, "spec": {"limits": [{"type": kind, **limits}]}}


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (limit_range("Container", max={"memory": "4Gi"}), "a container's memory is at most 4Gi, one job needs 8Gi"),
        (limit_range("Pod", max={"cpu": "1"}), "a pod's cpu is at most 1, one job needs 2"),
        (limit_range("Container", min={"memory": "16Gi"}), "a container's memory is at least 16Gi"),
        (limit_range("Container", default={"cpu": "500m"}), "cpu is limited to 500m where no limit is set"),
        (limit_range("Container", max={"cpu": "1500m"}), "a container's cpu is at most 1.5, one job needs 2"),
        (limit_range("Pod", max={"cpu": "1e3"}), "a pod's cpu is at most 1000, and there is no limit; set one"),
        (limit_range("Pod", min={"memory": "16384Mi"}), "a pod's memory is at least 16Gi, one job asks for 8Gi"),
        (limit_range("Container", min={"cpu": "2500m"}), "a container's cpu is at least 2.5, one job asks for 2"),
        (limit_range("Pod", min={"ephemeral-storage": "1Gi"}), "is at least 1Gi, one job asks for 0"),
        (limit_range("Pod", maxLimitRequestRatio={"cpu": "2"}), "a pod's cpu may have a limit of 2 times the request"),
        (
            limit_range("Container", default={"cpu": "8"}, maxLimitRequestRatio={"cpu": "2"}),
            "a container's cpu may have a limit of 2 times the request, not 8 for 2",
        ),
    ],
)  # fmt: skip
def test_a_limit_range_that_refuses_every_pod_is_an_error(found: dict[str, Any], message: str) -> None:
    ((level, text),) = check_limits([found], make_options(cpu="2", memory="8Gi", max_memory="8Gi"))
    assert level == "error"
    assert message in text


def test_a_limit_range_that_lets_a_pod_through_is_not_mentioned(server: ApiServer, cluster: Cluster) -> None:
    roomy = limit_range(
        "Container", max={"memory": "64Gi", "cpu": "2000"}, default={"memory": "1Gi"}, min={"cpu": "1m"}
    )
    roomy["spec"]["limits"] += [
        {"type": "PersistentVolumeClaim", "max": {"storage": "1"}, "min": {"storage": "1"}},
        {"type": "Pod", "max": {"memory": "64Gi", "cpu": "2001"}, "maxLimitRequestRatio": {"memory": "1"}},
        {"type": "Container", "default": {"ephemeral-storage": "1Gi"}},
    ]
    server.state.create("limitranges", "lab", roomy)
    assert "limits" not in look(cluster)
    server.state.create("limitranges", "lab", {**limit_range("Pod", max={"memory": "32Mi"}), "metadata": {"name": "b"}})
    assert only(look(cluster), "limits").level == "error"


def test_nodes_that_may_come_make_it_a_warning() -> None:
    level, text = check_nodes([], make_options(gpus=1), 3)
    assert (level, "--nodes-may-come" in text) == ("error", True)
    assert check_nodes([], make_options(gpus=1, nodes_may_come=True), 3)[0] == "warning"


def test_a_quota_of_objects_says_that_finished_jobs_count() -> None:
    quota = {
        "metadata": {"name": "q"},
        "status": {"hard": {"count/jobs.batch": "5"}, "used": {"count/jobs.batch": "3"}},
    }
    ((level, text),) = check_quotas([quota], make_options(), 10)
    assert (level, "room for 2 of 10 jobs: finished Jobs count" in text) == ("warning", True)
