"""A Job controller: what turns a Job into Pods and its Pods' ends into the Job's, as 1.33 and later do it."""

from __future__ import annotations

import itertools
import threading
import time
from datetime import datetime
from typing import Any

from tests.apiserver.state import Object, Refused, State, now

INDEX_LABEL = "batch.kubernetes.io/job-completion-index"
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"


class JobController:
    """Brings every Job of a namespace one step nearer to what it should be, whenever something changes."""

    def __init__(self, state: State, namespace: str, *, backoff: float = 0.0) -> None:
        self.state = state
        self.namespace = namespace
        self.pod_quota: int | None = None
        self._backoff = backoff
        self._counter = itertools.count()
        self._counted: dict[str, set[str]] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> JobController:
        """Work in a thread."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        with self.state.changed:
            self.state.changed.notify_all()
        self._thread.join()

    def sync_all(self) -> None:
        """One pass over all Jobs, and over what has lost its owner."""
        with self.state.changed:
            self.state.collect_garbage(self.namespace)
            pods: dict[str, list[Object]] = {}
            for pod in self.state.items("pods", self.namespace):
                pods.setdefault(_owner_uid(pod), []).append(pod)
            for job in self.state.items("jobs", self.namespace):
                self._sync(job, pods.get(job["metadata"]["uid"], []))

    def _run(self) -> None:
        seen = -1
        while not self._stopping.is_set():
            with self.state.changed:
                if self.state.version == seen:
                    self.state.changed.wait(0.05)
                seen = self.state.version
            self.sync_all()

    def _sync(self, job: Object, pods: list[Object]) -> None:
        if "deletionTimestamp" in job["metadata"] or is_finished(job):
            return
        active = [pod for pod in pods if pod["status"]["phase"] in ("Pending", "Running")]
        if job["spec"].get("suspend"):
            self._suspend(job, active)
            return
        if "startTime" not in job["status"]:
            conditions = [c for c in job["status"].get("conditions", []) if c["type"] != "Suspended"]
            if len(conditions) < len(job["status"].get("conditions", [])):
                conditions = with_condition(job, "Suspended", "JobResumed", "Job resumed", status="False")
            job = self._status(job, startTime=now(), conditions=conditions)
        if job["spec"].get("completionMode") == "Indexed":
            self._sync_indexes(job, pods)
            return
        failure = self._failure(job, pods)
        if failure is not None:
            self._fail(job, active, *failure)
        elif any(pod["status"]["phase"] == "Succeeded" for pod in pods):
            conditions = with_condition(job, "SuccessCriteriaMet", "CompletionsReached", "")
            job = self._status(job, conditions=conditions)
            conditions = with_condition(
                job, "Complete", "CompletionsReached", "Reached expected number of succeeded pods"
            )
            self._status(job, conditions=conditions, completionTime=now(), succeeded=1, active=0)
        elif not active:
            self._create_pod(job)

    def _sync_indexes(self, job: Object, pods: list[Object]) -> None:
        """An Indexed Job with a backoff limit for each index: it is over when no index is left to run."""
        if (failure := self._overdue(job)) is not None:
            active = [pod for pod in pods if pod["status"]["phase"] in ("Pending", "Running")]
            self._fail(job, active, *failure)
            return
        done, failed, running = set[int](), set[int](), set[int]()
        counts: dict[int, int] = {}
        for pod in pods:
            index, phase = int(pod["metadata"]["labels"][INDEX_LABEL]), pod["status"]["phase"]
            if phase == "Succeeded":
                done.add(index)
            elif phase == "Failed":
                action, _ = judge(job, pod)
                counts[index] = counts.get(index, 0) + (action == "Count")
                if action == "FailIndex" or counts[index] > job["spec"]["backoffLimitPerIndex"]:
                    failed.add(index)
            else:
                running.add(index)
        for index in range(job["spec"]["completions"]):
            if index not in done | failed | running and len(running) < job["spec"]["parallelism"]:
                running.add(index)
                self._create_pod(job, index)
        if not running and failed:
            self._fail(job, [], "FailedIndexes", "Job has failed indexes")
        elif not running:
            conditions = with_condition(job, "Complete", "CompletionsReached", "")
            self._status(job, conditions=conditions, completionTime=now(), succeeded=len(done), active=0)

    def _failure(self, job: Object, pods: list[Object]) -> tuple[str, str] | None:
        for condition in job["status"].get("conditions", []):
            if condition["type"] == "FailureTarget":
                return condition["reason"], condition["message"]
        counted = self._counted.setdefault(job["metadata"]["uid"], set())
        for pod in pods:
            if pod["status"]["phase"] == "Failed" and pod["metadata"]["uid"] not in counted:
                action, message = judge(job, pod)
                if action == "FailJob":
                    return "PodFailurePolicy", message
                if action == "Count":
                    counted.add(pod["metadata"]["uid"])
        if len(counted) > job["spec"]["backoffLimit"]:
            return "BackoffLimitExceeded", "Job has reached the specified backoff limit"
        return self._overdue(job)

    def _overdue(self, job: Object) -> tuple[str, str] | None:
        deadline = job["spec"].get("activeDeadlineSeconds")
        started = datetime.fromisoformat(job["status"]["startTime"]).timestamp()
        if deadline is not None and time.time() - started >= deadline:
            return "DeadlineExceeded", "Job was active longer than specified deadline"
        return None

    def _fail(self, job: Object, active: list[Object], reason: str, message: str) -> None:
        if not any(c["type"] == "FailureTarget" for c in job["status"].get("conditions", [])):
            job = self._status(job, conditions=with_condition(job, "FailureTarget", reason, message))
        for pod in active:
            if "deletionTimestamp" not in pod["metadata"]:
                self.state.delete("pods", self.namespace, pod["metadata"]["name"])
        # the terminal condition waits until no Pod is left running
        left = [p for p in active if self.state.find("pods", self.namespace, p["metadata"]["name"]) is not None]
        if not left:
            failed = len(self._counted.get(job["metadata"]["uid"], ())) or 1
            conditions = with_condition(job, "Failed", reason, message)
            self._status(job, conditions=conditions, failed=failed, active=0)

    def _suspend(self, job: Object, active: list[Object]) -> None:
        for pod in active:
            if "deletionTimestamp" not in pod["metadata"]:
                self.state.delete("pods", self.namespace, pod["metadata"]["name"])
        if not any(c["type"] == "Suspended" and c["status"] == "True" for c in job["status"].get("conditions", [])):
            conditions = with_condition(job, "Suspended", "JobSuspended", "Job suspended")
            self._status(job, conditions=conditions, startTime=None)

    def _create_pod(self, job: Object, index: int | None = None) -> None:
        meta = job["metadata"]
        if self.pod_quota is not None and len(self.state.items("pods", self.namespace)) >= self.pod_quota:
            event_name = f"{meta['name'][:50]}.{next(self._counter):x}"
            text = 'Error creating: pods "x" is forbidden: exceeded quota: gpus, requested: pods=1, used: pods=1'
            event = {
                "metadata": {"name": event_name},
                "involvedObject": {"kind": "Job", "name": meta["name"], "uid": meta["uid"]},
                "reason": "FailedCreate",
                "type": "Warning",
                "message": text,
                "lastTimestamp": now(),
                "eventTime": None,
            }
            if not any(e["involvedObject"]["name"] == meta["name"] for e in self.state.items("events", self.namespace)):
                self.state.create("events", self.namespace, event)
            return
        template = job["spec"]["template"]
        number = next(self._counter)
        middle, marks = ("", {}) if index is None else (f"-{index}", {INDEX_LABEL: str(index)})
        suffix = "".join(_SUFFIX[(number // len(_SUFFIX) ** place) % len(_SUFFIX)] for place in range(5))
        pod = {
            "metadata": {
                **template["metadata"],
                "labels": {**template["metadata"]["labels"], **marks},
                "name": f"{meta['name'][:57]}{middle}-{suffix}",
                "ownerReferences": [
                    {
                        "apiVersion": "batch/v1",
                        "kind": "Job",
                        "name": meta["name"],
                        "uid": meta["uid"],
                        "controller": True,
                        "blockOwnerDeletion": True,
                    }
                ],
            },
            "spec": dict(template["spec"]),
        }
        try:
            self.state.create("pods", self.namespace, pod)
        except Refused:
            return
        self._status(job, active=1)

    def _status(self, job: Object, **changes: Any) -> Object:
        return self.state.patch("jobs", self.namespace, job["metadata"]["name"], {"status": changes}, status=True)


def is_finished(job: Object) -> bool:
    """Whether the Job is complete or has failed."""
    return any(
        c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in job["status"].get("conditions", [])
    )


def with_condition(job: Object, kind: str, reason: str, message: str, status: str = "True") -> list[Object]:
    """The Job's conditions with one set."""
    rest = [c for c in job["status"].get("conditions", []) if c["type"] != kind]
    added = {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now()}
    return [*rest, added]


def judge(job: Object, pod: Object) -> tuple[str, str]:
    """What the Job's podFailurePolicy says of a failed Pod: the first rule that matches decides; none counts it."""
    rules = job["spec"].get("podFailurePolicy", {}).get("rules", [])
    for index, rule in enumerate(rules):
        for pattern in rule.get("onPodConditions", []):
            for condition in pod["status"].get("conditions", []):
                if (condition["type"], condition["status"]) == (pattern["type"], pattern["status"]):
                    return rule["action"], ""
        codes = rule.get("onExitCodes")
        for status in pod["status"].get("containerStatuses", []) if codes else []:
            code = status.get("state", {}).get("terminated", {}).get("exitCode", 0)
            if status["name"] == codes["containerName"] and code != 0 and code in codes["values"]:
                meta = pod["metadata"]
                return rule["action"], (
                    f"Container {status['name']} for pod {meta['namespace']}/{meta['name']} failed with exit code "
                    f"{code} matching FailJob rule at index {index}"
                )
    return "Count", ""


def _owner_uid(pod: Object) -> str:
    owners = pod["metadata"].get("ownerReferences", [])
    return str(owners[0]["uid"]) if owners else ""
