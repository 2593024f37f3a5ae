"""Objects, versions and history, with the rules of the storage layer: one lock, one counter for all resources."""

from __future__ import annotations

import bisect
import copy
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Object = dict[str, Any]

NAMESPACED = {
    "jobs": ("batch/v1", "Job"),
    "pods": ("v1", "Pod"),
    "events": ("v1", "Event"),
    "configmaps": ("v1", "ConfigMap"),
    "secrets": ("v1", "Secret"),
    "serviceaccounts": ("v1", "ServiceAccount"),
    "limitranges": ("v1", "LimitRange"),
    "resourcequotas": ("v1", "ResourceQuota"),
    "localqueues": ("kueue.x-k8s.io/v1beta1", "LocalQueue"),
    "workloads": ("kueue.x-k8s.io/v1beta1", "Workload"),
    "services": ("v1", "Service"),
    "cronjobs": ("batch/v1", "CronJob"),
    "deployments": ("apps/v1", "Deployment"),
    "replicasets": ("apps/v1", "ReplicaSet"),
    "roles": ("rbac.authorization.k8s.io/v1", "Role"),
    "rolebindings": ("rbac.authorization.k8s.io/v1", "RoleBinding"),
}
GLOBAL = {
    "nodes": ("v1", "Node"),
    "namespaces": ("v1", "Namespace"),
    "priorityclasses": ("scheduling.k8s.io/v1", "PriorityClass"),
    "runtimeclasses": ("node.k8s.io/v1", "RuntimeClass"),
}
KINDS = NAMESPACED | GLOBAL

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_LABEL = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")


class Refused(Exception):
    """A Status that is no success."""

    def __init__(self, code: int, reason: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.details = code, reason, message, details


@dataclass
class _History:
    versions: list[int] = field(default_factory=list)
    changes: list[tuple[str, Object]] = field(default_factory=list)


class State:
    """All objects of a cluster. ``changed`` is notified after each write."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.version = 1000
        self.compacted = 0
        self.on_write: Callable[[str, Object], None] = lambda *_: None
        self._objects: dict[tuple[str, str], dict[str, Object]] = {}
        self._history: dict[str, _History] = {resource: _History() for resource in KINDS}

    def create(self, resource: str, namespace: str, body: Object, *, dry_run: bool = False) -> Object:
        """As POST does: defaults, checks, 409 where the name is taken."""
        item = copy.deepcopy(body)
        api_version, kind = KINDS[resource]
        item.setdefault("apiVersion", api_version)
        item.setdefault("kind", kind)
        meta = item.setdefault("metadata", {})
        if resource in NAMESPACED:
            meta["namespace"] = namespace
        check_object(item)
        with self.changed:
            shelf = self._objects.setdefault((resource, namespace), {})
            if meta["name"] in shelf:
                raise Refused(409, "AlreadyExists", f'{resource} "{meta["name"]}" already exists', name=meta["name"])
            if namespace and resource in NAMESPACED and self.find("namespaces", "", namespace) is None:
                raise Refused(404, "NotFound", f'namespaces "{namespace}" not found')
            self._check_quota(resource, namespace)
            meta |= {"uid": str(uuid.uuid4()), "creationTimestamp": now(), "generation": 1}
            if resource == "jobs":
                _default_job(item)
            if resource == "pods":
                item.setdefault("status", {"phase": "Pending"})
            if not dry_run:
                shelf[meta["name"]] = item
                self._record(resource, "ADDED", item)
            return copy.deepcopy(item)

    def _check_quota(self, resource: str, namespace: str) -> None:
        """Refuse what is over a quota on how many objects of its kind there may be."""
        group, _, _ = KINDS[resource][0].rpartition("/")
        full = f"{resource}.{group}" if group else resource
        used = len(self._objects.get((resource, namespace), {}))
        for name, quota in self._objects.get(("resourcequotas", namespace), {}).items():
            most = quota["spec"]["hard"].get(f"count/{full}")
            if most is not None and used >= int(most):
                counts = f"requested: count/{full}=1, used: count/{full}={used}, limited: count/{full}={most}"
                raise Refused(403, "Forbidden", f'{full} "x" is forbidden: exceeded quota: {name}, {counts}')

    def find(self, resource: str, namespace: str, name: str) -> Object | None:
        """The object itself, or None. Don't write to it."""
        return self._objects.get((resource, namespace), {}).get(name)

    def get(self, resource: str, namespace: str, name: str) -> Object:
        """The object. Raises Refused 404."""
        with self.changed:
            item = self.find(resource, namespace, name)
            if item is None:
                raise Refused(404, "NotFound", f'{resource} "{name}" not found', name=name)
            return item

    def items(self, resource: str, namespace: str = "") -> list[Object]:
        """All objects in name order; of a namespaced resource without a namespace, those of all namespaces."""
        with self.changed:
            everywhere = resource in NAMESPACED and not namespace
            shelves = [s for (r, n), s in self._objects.items() if r == resource and (everywhere or n == namespace)]
            return [shelf[name] for shelf in shelves for name in sorted(shelf)]

    def replace(self, resource: str, namespace: str, name: str, body: Object) -> Object:
        """As PUT does: what the system wrote into the metadata stays."""
        old = self.get(resource, namespace, name)
        gone = dict.fromkeys(old.keys() - body.keys() - {"apiVersion", "kind", "status"})
        return self.patch(resource, namespace, name, {**gone, **body})

    def patch(self, resource: str, namespace: str, name: str, change: Object, *, status: bool = False) -> Object:
        """A merge patch of the object, or of its status alone; a patch of the object leaves its status as it is."""
        with self.changed:
            item = self.get(resource, namespace, name)
            wanted = change.get("metadata", {}).get("resourceVersion")
            if wanted is not None and wanted != item["metadata"]["resourceVersion"]:
                raise Refused(409, "Conflict", f'{resource} "{name}": the object has been modified')
            allowed = (
                {"status": change.get("status", {})} if status else {k: v for k, v in change.items() if k != "status"}
            )
            new: Object = merge(item, allowed)
            check_object(new)
            if resource == "jobs":
                _check_job_update(item, new)
            if new == item:
                return item
            self._objects[resource, namespace][name] = new
            self._record(resource, "MODIFIED", new)
            return new

    def delete(self, resource: str, namespace: str, name: str, options: Object | None = None) -> Object:
        """As DELETE does, garbage collection included."""
        options = options or {}
        with self.changed:
            item = self.get(resource, namespace, name)
            for key, wanted in options.get("preconditions", {}).items():
                if wanted != item["metadata"][key]:
                    raise Refused(409, "Conflict", f"the {key} in the precondition ({wanted}) is not the object's")
            # batch/v1 keeps the old default of orphaning a Job's Pods
            policy = options.get("propagationPolicy") or ("Orphan" if resource == "jobs" else "Background")
            if resource == "pods" and _runs_somewhere(item) and options.get("gracePeriodSeconds") != 0:
                grace = item["spec"].get("terminationGracePeriodSeconds", 30)
                return self.touch(resource, item, {"deletionTimestamp": now(), "deletionGracePeriodSeconds": grace})
            dependents = list(self._dependents(item["metadata"]["uid"]))
            if policy == "Foreground" and dependents:
                item = self.touch(resource, item, {"deletionTimestamp": now(), "finalizers": ["foregroundDeletion"]})
            else:
                self.remove(resource, namespace, name)
            for kind, dependent in dependents:
                meta = dependent["metadata"]
                if policy == "Orphan":
                    owners = [o for o in meta["ownerReferences"] if o["uid"] != item["metadata"]["uid"]]
                    self.touch(kind, dependent, {"ownerReferences": owners})
                else:
                    self.delete(kind, namespace, meta["name"], {"propagationPolicy": policy})
            return item

    def remove(self, resource: str, namespace: str, name: str) -> None:
        """Take the object away at once, then owners that only waited for it."""
        with self.changed:
            item = self._objects.get((resource, namespace), {}).pop(name, None)
            if item is None:
                return
            self._record(resource, "DELETED", copy.deepcopy(item))
            for owner in item["metadata"].get("ownerReferences", []):
                for kind in NAMESPACED:
                    held = self.find(kind, namespace, owner["name"])
                    waits = held and held["metadata"]["uid"] == owner["uid"] and held["metadata"].get("finalizers")
                    if waits and not any(self._dependents(owner["uid"])):
                        self.remove(kind, namespace, owner["name"])

    def collect_garbage(self, namespace: str) -> None:
        """Delete what names an owner that is not there."""
        with self.changed:
            uids = {item["metadata"]["uid"] for kind in NAMESPACED for item in self.items(kind, namespace)}
            for kind in NAMESPACED:
                for item in self.items(kind, namespace):
                    owners = item["metadata"].get("ownerReferences", [])
                    if owners and not any(owner["uid"] in uids for owner in owners):
                        self.delete(kind, namespace, item["metadata"]["name"], {"propagationPolicy": "Background"})

    def changes(self, resource: str, after: int) -> list[tuple[int, str, Object]]:
        """What happened to a resource after a version. Raises Refused 410 where the history no longer reaches back."""
        with self.changed:
            if after < self.compacted:
                raise Refused(410, "Expired", f"too old resource version: {after} ({self.compacted})")
            history = self._history[resource]
            start = bisect.bisect_right(history.versions, after)
            return [(v, *c) for v, c in zip(history.versions[start:], history.changes[start:], strict=True)]

    def compact(self) -> None:
        """Forget the history: watches and page tokens from before are too old."""
        with self.changed:
            self.compacted = self.version
            for history in self._history.values():
                history.versions.clear()
                history.changes.clear()
            self.changed.notify_all()

    def _dependents(self, uid: str) -> Iterator[tuple[str, Object]]:
        for (resource, _), shelf in self._objects.items():
            for item in list(shelf.values()):
                if any(owner["uid"] == uid for owner in item["metadata"].get("ownerReferences", [])):
                    yield resource, item

    def touch(self, resource: str, item: Object, meta: Object) -> Object:
        """Change an object's metadata as only the system may: its deletionTimestamp, say."""
        with self.changed:
            new: Object = merge(item, {"metadata": meta})
            name, namespace = new["metadata"]["name"], new["metadata"].get("namespace", "")
            self._objects[resource, namespace][name] = new
            self._record(resource, "MODIFIED", new)
            return new

    def _record(self, resource: str, kind: str, item: Object) -> None:
        self.version += 1
        item["metadata"]["resourceVersion"] = str(self.version)
        history = self._history[resource]
        history.versions.append(self.version)
        history.changes.append((kind, item))
        self.on_write(resource, item)
        self.changed.notify_all()


def now() -> str:
    """The time as the API writes it: UTC, whole seconds."""
    return datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def merge(old: Any, change: Any) -> Any:
    """RFC 7386; neither argument is written to."""
    if not isinstance(change, dict):
        return copy.deepcopy(change)
    new = dict(old) if isinstance(old, dict) else {}
    for key, value in change.items():
        if value is None:
            new.pop(key, None)
        else:
            new[key] = merge(new.get(key), value)
    return new


def check_object(item: Object) -> None:
    """Names and labels as every resource needs them. Raises Refused 422."""
    meta = item.get("metadata", {})
    if not _NAME.fullmatch(meta.get("name", "")):
        raise Refused(422, "Invalid", f"metadata.name: Invalid value: {meta.get('name')!r}: not a DNS-1123 subdomain")
    labels = dict(meta.get("labels", {}))
    labels |= item.get("spec", {}).get("template", {}).get("metadata", {}).get("labels", {})
    for key, value in labels.items():
        if not isinstance(value, str) or not _LABEL.fullmatch(value):
            raise Refused(422, "Invalid", f"metadata.labels: Invalid value: {key}={value!r}")
    if item["kind"] == "Job" and len(meta["name"]) > 63:
        raise Refused(422, "Invalid", "spec.template.labels: Invalid value: must be no more than 63 characters")


def _default_job(item: Object) -> None:
    meta, spec = item["metadata"], item["spec"]
    controller = {"batch.kubernetes.io/controller-uid": meta["uid"], "batch.kubernetes.io/job-name": meta["name"]}
    template = spec["template"].setdefault("metadata", {})
    template["labels"] = {**template.get("labels", {}), **controller}
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": meta["uid"]}}
    spec.setdefault("suspend", False)
    spec.setdefault("backoffLimit", 6)
    item["status"] = {}
    if "podFailurePolicy" in spec:
        _check_failure_policy(spec)


def _check_failure_policy(spec: Object) -> None:
    pod = spec["template"]["spec"]
    if pod.get("restartPolicy") != "Never":
        raise Refused(422, "Invalid", "spec.template.spec.restartPolicy: Required value: Never with podFailurePolicy")
    if spec.get("podReplacementPolicy", "Failed") != "Failed":
        raise Refused(422, "Invalid", "spec.podReplacementPolicy: Unsupported value: only Failed with podFailurePolicy")
    names = {container["name"] for container in (*pod["containers"], *pod.get("initContainers", ()))}
    for index, rule in enumerate(spec["podFailurePolicy"]["rules"]):
        path = f"spec.podFailurePolicy.rules[{index}].onExitCodes"
        codes = rule.get("onExitCodes")
        if codes is None:
            continue
        if codes.get("containerName", next(iter(names))) not in names:
            raise Refused(422, "Invalid", f"{path}.containerName: Invalid value: must be one of the containers")
        if codes["values"] != sorted(set(codes["values"])) or (codes["operator"] == "In" and 0 in codes["values"]):
            raise Refused(422, "Invalid", f"{path}.values: Invalid value: must be ordered, unique and not 0")


def _check_job_update(old: Object, new: Object) -> None:
    for field_name in ("selector", "podFailurePolicy", "completionMode", "completions"):
        if old["spec"].get(field_name) != new["spec"].get(field_name):
            raise Refused(422, "Invalid", f"spec.{field_name}: Invalid value: field is immutable")
    if old["spec"]["template"] != new["spec"]["template"] and not old["spec"].get("suspend"):
        raise Refused(422, "Invalid", "spec.template: Invalid value: field is immutable")


def _runs_somewhere(pod: Object) -> bool:
    return bool(pod["spec"].get("nodeName")) and pod.get("status", {}).get("phase") in ("Pending", "Running")
