from __future__ import annotations

from typing import Any

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
