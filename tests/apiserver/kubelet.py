"""A scheduler and a kubelet. `sh -c SCRIPT` is run for real; other commands do what the test's ``behave`` says."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.apiserver.http import ApiServer
from tests.apiserver.state import Object, Refused, State, now


@dataclass(frozen=True)
class Outcome:
    """How a container ends: after ``seconds``, with a code, and perhaps because the kernel killed it."""

    code: int = 0
    seconds: float = 0.0
    reason: str = ""
    log: bytes = b""
    disrupted: bool = False


class Kubelet:
    """Runs the Pods of a namespace on as many nodes as the test has made."""

    def __init__(
        self, server: ApiServer, namespace: str, behave: Callable[[Object], Outcome] = lambda _: Outcome(seconds=1e9)
    ) -> None:
        self.server = server
        self.state = server.state
        self.namespace = namespace
        self.behave = behave
        self._running: dict[str, _Container] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> Kubelet:
        """Work in a thread."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End the thread and every container."""
        self._stopping.set()
        self._thread.join()
        for container in self._running.values():
            container.kill()

    def _run(self) -> None:
        while not self._stopping.is_set():
            with self.state.changed:
                self.state.changed.wait(0.01)
                for pod in self.state.items("pods", self.namespace):
                    self._step(pod)

    def _step(self, pod: Object) -> None:
        name = pod["metadata"]["name"]
        container = self._running.get(pod["metadata"]["uid"])
        if "deletionTimestamp" in pod["metadata"]:
            if container:
                container.kill()
            self.state.remove("pods", self.namespace, name)
        elif pod["status"]["phase"] == "Pending" and container is None:
            if "nodeName" not in pod["spec"] and not self._schedule(pod):
                return
            pod = self.state.get("pods", self.namespace, name)
            if waits := self._cannot_start(pod):
                set_waiting(self.state, pod, *waits)
                return
            container = _Container(pod, self.behave)
            self._running[pod["metadata"]["uid"]] = container
            self.server.logs[name] = container.read_log
            set_running(self.state, pod)
        elif pod["status"]["phase"] == "Running" and container is not None and container.ended:
            outcome = container.outcome
            if outcome.disrupted:
                set_condition(self.state, pod, "DisruptionTarget", "True", "PreemptionByScheduler", "preempted")
                pod = self.state.get("pods", self.namespace, name)
            set_terminated(self.state, pod, outcome.code, outcome.reason)

    def _cannot_start(self, pod: Object) -> tuple[str, str] | None:
        container = pod["spec"]["containers"][0]
        if ".invalid/" in container["image"]:
            host = container["image"].partition("/")[0]
            said = f'failed to resolve reference "{container["image"]}": dial tcp: lookup {host}: no such host'
            return "ErrImagePull", said
        for source in container.get("envFrom", []):
            name = source.get("secretRef", {}).get("name")
            if name and self.state.find("secrets", self.namespace, name) is None:
                return "CreateContainerConfigError", f'secret "{name}" not found'
        return None

    def _schedule(self, pod: Object) -> bool:
        nodes = self.state.items("nodes")
        fitting = [node for node in nodes if _allowed(pod, node)]
        if not fitting:
            short = not any(_labelled(pod, node) for node in nodes)
            cause = "node(s) didn't match Pod's node affinity/selector" if short else "Insufficient nvidia.com/gpu"
            message = f"0/{len(nodes)} nodes are available: {len(nodes)} {cause}."
            set_condition(self.state, pod, "PodScheduled", "False", "Unschedulable", message)
            return False
        bind(self.state, pod, fitting[0]["metadata"]["name"])
        return True


class _Container:
    def __init__(self, pod: Object, behave: Callable[[Object], Outcome]) -> None:
        command = pod["spec"]["containers"][0].get("command", [])
        self._process: subprocess.Popen[bytes] | None = None
        self._outcome = Outcome()
        self._killed = False
        self._output: list[tuple[float, bytes]] = []
        self._since = time.monotonic()
        if command[:2] == ["sh", "-c"]:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            self._collector = threading.Thread(target=self._collect, args=(self._process,), daemon=True)
            self._collector.start()
        else:
            self._outcome = behave(pod)
            self._output = [(time.time(), line + b"\n") for line in self._outcome.log.splitlines()]

    @property
    def ended(self) -> bool:
        """Whether it has."""
        if self._process is not None:
            return self._process.poll() is not None
        return self._killed or time.monotonic() - self._since >= self._outcome.seconds

    @property
    def outcome(self) -> Outcome:
        """How it ended."""
        if self._process is None:
            return self._outcome
        code = self._process.returncode
        return Outcome(code=code if code >= 0 else 128 - code)

    def kill(self) -> None:
        """End it."""
        self._killed = True
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._collector.join(5)

    def read_log(self, since: str, follow: bool, tail: int | None) -> Iterator[bytes]:
        """The log with timestamps, from whole second ``since`` on."""
        start = datetime.fromisoformat(since).timestamp() if since else 0.0
        at = max(0, len(self._output) - tail) if tail is not None else 0
        while True:
            for moment, line in self._output[at:]:
                at += 1
                if moment >= start:
                    yield stamp(moment) + line
            if not follow or (self.ended and at == len(self._output)):
                return
            time.sleep(0.01)

    def _collect(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self._output.append((time.time(), line))


def stamp(moment: float) -> bytes:
    """The kubelet's timestamp before a line."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z ").encode()


def add_node(state: State, name: str, *, gpus: int = 8, taints: list[Object] | None = None, **labels: str) -> None:
    """A ready node with 16 CPUs and 64 GiB."""
    allocatable = {"cpu": "16", "memory": "64Gi", "pods": "110"}
    if gpus:
        allocatable["nvidia.com/gpu"] = str(gpus)
    node = {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}},
        "spec": {"taints": taints} if taints else {},
        "status": {"allocatable": allocatable, "conditions": [{"type": "Ready", "status": "True"}]},
    }
    state.create("nodes", "", node)


def bind(state: State, pod: Object, node: str) -> None:
    """Put a Pod on a node."""
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    state.patch("pods", namespace, name, {"spec": {"nodeName": node}})
    set_condition(state, state.get("pods", namespace, name), "PodScheduled", "True", "", "")


def set_condition(state: State, pod: Object, kind: str, status: str, reason: str, message: str) -> None:
    """Set one condition of a Pod."""
    old = pod["status"].get("conditions", [])
    for condition in old:
        if (condition["type"], condition["status"], condition["message"]) == (kind, status, message):
            return
    added = {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now()}
    _write(state, pod, conditions=[*(c for c in old if c["type"] != kind), added])


def set_waiting(state: State, pod: Object, reason: str, message: str = "") -> None:
    """The container waits."""
    waiting = {"waiting": {"reason": reason, "message": message}}
    _write(
        state, pod, containerStatuses=[{"name": _container(pod), "ready": False, "restartCount": 0, "state": waiting}]
    )


def set_running(state: State, pod: Object) -> None:
    """The container runs."""
    running = {"name": _container(pod), "ready": True, "restartCount": 0, "state": {"running": {"startedAt": now()}}}
    _write(state, pod, phase="Running", startTime=now(), containerStatuses=[running])


def set_terminated(state: State, pod: Object, code: int, reason: str = "", message: str = "") -> None:
    """The container has ended, and the Pod with it."""
    ended: Object = {
        "exitCode": code,
        "reason": reason or ("Completed" if code == 0 else "Error"),
        "startedAt": now(),
        "finishedAt": now(),
    }
    if message:
        ended["message"] = message
    status = {"name": _container(pod), "ready": False, "restartCount": 0, "state": {"terminated": ended}}
    _write(state, pod, phase="Failed" if code else "Succeeded", containerStatuses=[status])


def _container(pod: Object) -> str:
    """The Pod's one container, by name."""
    name: str = pod["spec"]["containers"][0]["name"]
    return name


def _write(state: State, pod: Object, **status: Any) -> None:
    try:
        state.patch("pods", pod["metadata"]["namespace"], pod["metadata"]["name"], {"status": status}, status=True)
    except Refused:
        return


def _allowed(pod: Object, node: Object) -> bool:
    name = node["metadata"]["name"]
    affinity = pod["spec"].get("affinity", {}).get("nodeAffinity", {})
    terms = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", {}).get("nodeSelectorTerms", [])
    banned = terms and all(
        any(name in f["values"] for f in term.get("matchFields", []) if f["operator"] == "NotIn") for term in terms
    )
    wanted = pod["spec"]["containers"][0].get("resources", {}).get("limits", {}).get("nvidia.com/gpu", "0")
    return (
        _labelled(pod, node)
        and not banned
        and (not terms or any(_meets(term, node) for term in terms))
        and int(node["status"]["allocatable"].get("nvidia.com/gpu", "0")) >= int(wanted)
    )


def _meets(term: Object, node: Object) -> bool:
    have = node["metadata"].get("labels", {})
    expressions = term.get("matchExpressions", [])
    return all((have.get(each["key"]) in each["values"]) == (each["operator"] == "In") for each in expressions)


def _labelled(pod: Object, node: Object) -> bool:
    have = node["metadata"].get("labels", {})
    return all(have.get(key) == value for key, value in pod["spec"].get("nodeSelector", {}).items())
