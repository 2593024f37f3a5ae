"""What acts on the API server's objects: Job controller, scheduler, kubelets and nodes, each step a little later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.apiserver.controller import judge
from tests.simulation.api_server import ApiServer, Object
from tests.simulation.kernel import START, Process

NODES = ("node-a", "node-b", "node-c")
SPOT_NODES = ("node-a", "node-b")
LABELS: dict[str, dict[str, str]] = {node: {"spot": "yes"} if node in SPOT_NODES else {} for node in NODES}


@dataclass
class ClusterFaults:
    """Chances for each Pod, and what is wrong with nodes."""

    unpullable: float = 0.0
    slow_start: float = 0.0
    silent_oom: float = 0.0
    """That the kubelet does not say why the kernel killed a container."""
    broken_gpu: set[str] = field(default_factory=set)
    full: set[str] = field(default_factory=set)


class Kubernetes:
    """``train`` begins a Pod's training as a process and calls back with its exit code."""

    def __init__(self, server: ApiServer, train: Callable[[Object, Process, Callable[[int, str], None]], None]) -> None:
        self.server, self.kernel = server, server.kernel
        self.faults = ClusterFaults()
        self.dead: set[str] = set()
        self.trainings: dict[str, Process] = {}
        """The process of each Pod that runs, by the Pod's uid."""
        self._train = train
        self._cut_off: dict[str, float] = {}
        """Until when a node can't be reached, though its trainings run."""
        self._counted: dict[str, set[str]] = {}
        self._pending: set[str] = set()
        self._number = 0
        server.changed = self._on_change

    def _on_change(self, resource: str, kind: str, item: Object) -> None:
        name = item["metadata"]["name"]
        if resource == "pods":
            if kind == "DELETED":
                late = max(0.0, self._cut_off.get(item["spec"].get("nodeName", ""), 0.0) - self.kernel.time)
                self.kernel.at(late, lambda: self._kill(item))  # a node that is cut off gets it when it is back
            elif kind == "ADDED":
                self._later(0.1, 1.0, lambda: self._schedule(name))
            owner = item["metadata"]["ownerReferences"][0]["name"]
            self._sync_later(owner)
        elif resource == "jobs" and kind != "DELETED":
            self._sync_later(name)
            if kind == "ADDED":
                self._later(1, 30, lambda: self._collect_garbage(name))

    def _later(self, low: float, high: float, act: Callable[[], None]) -> None:
        self.kernel.at(self.kernel.random.uniform(low, high), act)

    # the Job controller

    def _sync_later(self, name: str, delay: float = 0.0) -> None:
        if delay == 0.0:
            if name in self._pending:
                return
            self._pending.add(name)
            delay = self.kernel.random.uniform(0.05, 1.0)
        self.kernel.at(delay, lambda: self._sync(name))

    def _sync(self, name: str) -> None:
        self._pending.discard(name)
        job = self.server.find("jobs", name)
        if job is None or _has(job, "Failed") or _has(job, "Complete"):
            return
        pods = self.server.pods_of(job["metadata"]["uid"])
        active = [pod for pod in pods if pod["status"].get("phase", "Pending") in ("Pending", "Running")]
        if "startTime" not in job["status"]:
            job = self.server.update("jobs", name, status={"startTime": self.server.now()})
            deadline = job["spec"].get("activeDeadlineSeconds")
            if deadline:
                self._sync_later(name, float(deadline) + 1)
        if (failure := self._failure(job, pods)) is not None:
            self._fail(job, active, *failure)
        elif any(pod["status"].get("phase") == "Succeeded" for pod in pods):
            self._condition("jobs", name, "Complete", "CompletionsReached", "")
        elif not active:
            failures = len(self._counted.get(job["metadata"]["uid"], ()))
            if failures and (ended := max(_ended(pod) for pod in pods)) + 10 * failures > self._now():
                self._sync_later(name, ended + 10 * failures - self._now() + 0.1)
            else:
                self._create_pod(job)

    def _failure(self, job: Object, pods: list[Object]) -> tuple[str, str] | None:
        for condition in job["status"].get("conditions", []):
            if condition["type"] == "FailureTarget":
                return condition["reason"], condition["message"]
        counted = self._counted.setdefault(job["metadata"]["uid"], set())
        for pod in pods:
            if pod["status"].get("phase") == "Failed" and pod["metadata"]["uid"] not in counted:
                action, message = judge(job, pod)
                if action == "FailJob":
                    return "PodFailurePolicy", message
                if action == "Count":
                    counted.add(pod["metadata"]["uid"])
        if len(counted) > job["spec"].get("backoffLimit", 6):
            return "BackoffLimitExceeded", "Job has reached the specified backoff limit"
        deadline = job["spec"].get("activeDeadlineSeconds")
        started = datetime.fromisoformat(job["status"]["startTime"]).timestamp()
        if deadline and self._now() - started >= deadline:
            return "DeadlineExceeded", "Job was active longer than specified deadline"
        return None

    def _fail(self, job: Object, active: list[Object], reason: str, message: str) -> None:
        name = job["metadata"]["name"]
        if not _has(job, "FailureTarget"):
            self._condition("jobs", name, "FailureTarget", reason, message)
        for pod in active:
            self.stop(pod["metadata"]["name"])
        if not active:
            self._condition("jobs", name, "Failed", reason, message)

    def _create_pod(self, job: Object) -> None:
        self._number += 1
        meta, template = job["metadata"], job["spec"]["template"]
        name = f"{meta['name'][:50]}-{self._number}"
        controller = {"batch.kubernetes.io/job-name": meta["name"]}
        labels = {**template["metadata"]["labels"], **controller}
        owner = {"kind": "Job", "name": meta["name"], "uid": meta["uid"]}
        metadata = {**template["metadata"], "name": name, "namespace": "sim", "labels": labels}
        metadata["ownerReferences"] = [owner]
        self.server.create("pods", {"metadata": metadata, "spec": template["spec"], "status": {"phase": "Pending"}})

    def _collect_garbage(self, name: str) -> None:
        """A Job whose run's ConfigMap went before it came goes, too."""
        job = self.server.find("jobs", name)
        owners = {owner["uid"] for owner in job["metadata"].get("ownerReferences", ())} if job else set()
        if owners and owners.isdisjoint(each["metadata"]["uid"] for each in self.server.objects["configmaps"].values()):
            self.server.remove("jobs", name)

    # the scheduler and the kubelets

    def _schedule(self, name: str) -> None:
        pod = self.server.find("pods", name)
        if pod is None or "nodeName" in pod["spec"] or "deletionTimestamp" in pod["metadata"]:
            return
        banned = self.dead | self.faults.full
        fitting = [node for node in NODES if node not in banned and _suits(pod, node)]
        if not fitting:
            message = f"0/{len(NODES)} nodes are available: {len(NODES)} Insufficient nvidia.com/gpu."
            self._condition("pods", name, "PodScheduled", "Unschedulable", message, status="False")
            self._later(20, 40, lambda: self._schedule(name))
            return
        node = self.kernel.random.choice(fitting)
        conditions = self._conditions(pod, "PodScheduled", "", "")
        self.server.update("pods", name, spec={"nodeName": node}, status={"conditions": conditions})
        low, high = (60, 1200) if self.kernel.random.random() < self.faults.slow_start else (1, 10)
        self._later(low, high, lambda: self._start(name))

    def _start(self, name: str) -> None:
        pod = self.server.find("pods", name)
        if pod is None or "deletionTimestamp" in pod["metadata"] or pod["spec"]["nodeName"] in self.dead:
            return
        if self.kernel.random.random() < self.faults.unpullable:
            waiting = {"reason": "ErrImagePull", "message": "manifest unknown: no such tag"}
            self.server.update("pods", name, status={"containerStatuses": [_container({"waiting": waiting})]})
            self._later(20, 60, lambda: self._start(name))
            return
        running = [_container({"running": {"startedAt": self.server.now()}})]
        self.server.update("pods", name, status={"phase": "Running", "containerStatuses": running})
        process = Process(self.kernel, f"pod-{name.rsplit('-', 1)[1]}")
        self.trainings[pod["metadata"]["uid"]] = process
        if pod["spec"]["nodeName"] in self.faults.broken_gpu:
            self._later(1, 5, lambda: self._ended(name, process, 21, ""))
        else:
            self._train(pod, process, lambda code, reason: self._ended(name, process, code, reason))

    def _ended(self, name: str, process: Process, code: int, reason: str) -> None:
        pod = self.server.find("pods", name)
        if pod is None or pod["spec"]["nodeName"] in self.dead:
            return
        self._later(0.1, 2.0, lambda: self._terminated(name, process, code, reason))

    def _terminated(self, name: str, process: Process, code: int, reason: str) -> None:
        pod = self.server.find("pods", name)
        if pod is None or pod["status"]["phase"] != "Running" or pod["spec"]["nodeName"] in self.dead:
            return
        if self.trainings.pop(pod["metadata"]["uid"], None) is not process:
            return
        if reason and self.kernel.random.random() < self.faults.silent_oom:
            reason = ""
        now = self.server.now()
        ended = {
            "exitCode": code,
            "reason": reason or ("Error" if code else "Completed"),
            "startedAt": now,
            "finishedAt": now,
        }
        phase = "Failed" if code else "Succeeded"
        containers = [_container({"terminated": ended})]
        self.server.update("pods", name, status={"phase": phase, "containerStatuses": containers})
        if "deletionTimestamp" in pod["metadata"]:
            self.server.remove("pods", name)

    def is_quiet(self) -> bool:
        """Whether every Job has ended and no training runs."""
        ended = (_has(job, "Complete") or _has(job, "Failed") for job in self.server.objects["jobs"].values())
        return not self.trainings and all(ended)

    def stop(self, name: str, why: str = "") -> None:
        """Delete a Pod with its grace period; ``why`` is the reason of a disruption."""
        pod = self.server.find("pods", name)
        if pod is None or pod["status"].get("phase", "Pending") not in ("Pending", "Running"):
            return
        if why and not _has(pod, "DisruptionTarget"):
            self._condition("pods", name, "DisruptionTarget", why, "interrupted")
        if "deletionTimestamp" in pod["metadata"]:
            return
        stamp = {"deletionTimestamp": self.server.now(), "deletionGracePeriodSeconds": 30}
        pod = self.server.update("pods", name, metadata=stamp)
        process = self.trainings.get(pod["metadata"]["uid"])
        if process is not None and pod["spec"].get("nodeName") not in self.dead:
            self.kernel.log(process.name, "is told to stop")
            process.stop_requested = True
        self._later(30, 35, lambda: self._remove(name))

    def _remove(self, name: str) -> None:
        pod = self.server.find("pods", name)
        if pod is None:
            return
        if _has(pod, "DisruptionTarget") and pod["status"]["phase"] in ("Pending", "Running"):
            # podGC and the taint manager mark the Pod as failed before it goes
            self.server.update("pods", name, status={"phase": "Failed"})
            self._later(1, 5, lambda: self._remove(name))
            return
        self.server.remove("pods", name)

    def lose_node(self, node: str, seconds: float, *, partition: bool) -> None:
        """A node is gone for a while. In a ``partition`` its trainings go on and still reach the store."""
        self.kernel.log(node, f"is {'cut off' if partition else 'lost'} for {seconds:.0f} s")
        self.dead.add(node)
        if partition:
            self._cut_off[node] = self.kernel.time + seconds
        for pod in self._pods():
            if pod["spec"].get("nodeName") == node and pod["status"].get("phase") in ("Pending", "Running"):
                if not partition:
                    self._kill(pod)
                name = pod["metadata"]["name"]
                self._later(40, 90, lambda name=name: self.stop(name, "DeletionByTaintManager"))  # type: ignore[misc]
        self.kernel.at(seconds, lambda: self.dead.discard(node))

    def _kill(self, pod: Object) -> None:
        process = self.trainings.pop(pod["metadata"]["uid"], None)
        if process is not None:
            process.kill()

    def _pods(self) -> list[Object]:
        return list(self.server.objects["pods"].values())

    def _now(self) -> float:
        return START + self.kernel.time + self.server.skew

    def _condition(
        self, resource: str, name: str, kind: str, reason: str, message: str, *, status: str = "True"
    ) -> None:
        item = self.server.find(resource, name)
        if item is None:
            return
        conditions = self._conditions(item, kind, reason, message, status=status)
        self.server.update(resource, name, status={"conditions": conditions})

    def _conditions(self, item: Object, kind: str, reason: str, message: str, *, status: str = "True") -> list[Object]:
        old = [each for each in item["status"].get("conditions", []) if each["type"] != kind]
        stamp = self.server.now()
        return [
            *old,
            {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": stamp},
        ]


def _has(item: Object, kind: str) -> bool:
    return any(each["type"] == kind and each["status"] == "True" for each in item["status"].get("conditions", []))


def _ended(pod: Object) -> float:
    for status in pod["status"].get("containerStatuses", []):
        if at := status["state"].get("terminated", {}).get("finishedAt"):
            return datetime.fromisoformat(at).timestamp()
    return 0.0


def _suits(pod: Object, node: str) -> bool:
    """Whether a node has the labels that a Pod asks for, and none of those that it keeps off."""
    if not LABELS[node].items() >= pod["spec"].get("nodeSelector", {}).items():
        return False
    affinity = pod["spec"].get("affinity", {}).get("nodeAffinity", {})
    terms = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", {}).get("nodeSelectorTerms", [])
    bans: list[Any] = [(one, node) for term in terms for one in term.get("matchFields", [])]
    bans += [(one, LABELS[node].get(one["key"])) for term in terms for one in term.get("matchExpressions", [])]
    return not any(one["operator"] == "NotIn" and has in one["values"] for one, has in bans)


def _container(state: Object) -> Object:
    return {"name": "trainer", "ready": "running" in state, "restartCount": 0, "state": state}
