from __future__ import annotations

from typing import Any

from launcher.kubernetes.objects.kueue import quota_of
from launcher.kubernetes.packed.room import count_room
from tests.launcher.fixtures import make_options


def node(name: str, **allocatable: str) -> dict[str, Any]:
    have = {"cpu": "16", "memory": "64Gi", "pods": "110", "nvidia.com/gpu": "8", **allocatable}
    return {"metadata": {"name": name}, "spec": {}, "status": {"allocatable": have}}


def pod(on: str, phase: str = "Running", **requests: str) -> dict[str, Any]:
    container = {"resources": {"requests": {name.replace("gpu", "nvidia.com/gpu"): n for name, n in requests.items()}}}
    return {"spec": {"nodeName": on, "containers": [container]}, "status": {"phase": phase}}


def test_room_is_what_is_free_beside_what_runs_and_within_the_quotas() -> None:
    options = make_options(workers="auto", gpus=1, cpu="2", memory="8Gi", max_memory="8Gi")
    nodes = [node("a"), node("b"), node("small", memory="4Gi")]
    assert count_room(nodes, [], [], options) == 16
    busy = [pod("a", gpu="6"), pod("b", memory="50Gi"), pod("b", "Succeeded", gpu="8"), pod("", gpu="8")]
    assert count_room(nodes, busy, [], options) == 2 + 1
    quota = {"status": {"hard": {"requests.nvidia.com/gpu": "10"}, "used": {"requests.nvidia.com/gpu": "8"}}}
    assert count_room(nodes, busy, [quota], options) == 2
    assert count_room([], [], [], options) == 0


def test_room_in_a_queue_is_what_nobody_has_reserved_of_its_own_quota() -> None:
    options = make_options(workers="auto", gpus=1, cpu="2", memory="8Gi", max_memory="8Gi", queue="team-a")

    def flavor(name: str, gpus: int) -> dict[str, Any]:
        resources = [{"name": "cpu", "nominalQuota": 40}, {"name": "nvidia.com/gpu", "nominalQuota": gpus}]
        return {"name": name, "resources": resources}

    groups = [{"coveredResources": ["cpu", "nvidia.com/gpu"], "flavors": [flavor("a100", 8), flavor("spot", 2)]}]
    reserved = [
        {"name": "a100", "resources": [{"name": "nvidia.com/gpu", "total": "7"}, {"name": "cpu", "total": "14"}]}
    ]
    queue = {"spec": {"resourceGroups": groups}, "status": {"flavorsReservation": reserved}}
    nodes = [node("a"), node("b")]
    assert count_room(nodes, [], [quota_of(queue)], options) == 3
    assert count_room(nodes, [], [quota_of({"spec": {"resourceGroups": groups}})], options) == 10
    borrows = {**queue, "spec": {"resourceGroups": groups, "cohortName": "all"}}
    assert count_room(nodes, [], [quota_of(borrows)], options) == 16
