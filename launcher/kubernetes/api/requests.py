"""Requests to the API server as plain data: built here, sent by ``api.client``, read by the caller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote, urlencode

from atb.errors import NetworkError

Method = Literal["GET", "POST", "PATCH", "DELETE"]

PATHS = {
    "jobs": "/apis/batch/v1/namespaces/{namespace}/jobs",
    "pods": "/api/v1/namespaces/{namespace}/pods",
    "events": "/api/v1/namespaces/{namespace}/events",
    "configmaps": "/api/v1/namespaces/{namespace}/configmaps",
    "secrets": "/api/v1/namespaces/{namespace}/secrets",
    "serviceaccounts": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "limitranges": "/api/v1/namespaces/{namespace}/limitranges",
    "resourcequotas": "/api/v1/namespaces/{namespace}/resourcequotas",
    "nodes": "/api/v1/nodes",
    "namespaces": "/api/v1/namespaces",
    "priorityclasses": "/apis/scheduling.k8s.io/v1/priorityclasses",
    "runtimeclasses": "/apis/node.k8s.io/v1/runtimeclasses",
}

PAGE = 500
"""Objects in one page of a list."""
WATCH_SECONDS = 300
"""How long the server keeps one watch; it is then opened again where it ended."""

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
"""Asks for an object without its content: a Secret's values never travel, and what was just sent is not sent back."""


class ApiError(NetworkError):
    """An error that the API server answered. ``status`` is 0 where it did not answer at all. ``foreign``: something
    else answered in its place, as a load balancer or a page to log in at, which says nothing of the request."""

    foreign = False

    def __init__(
        self, message: str, status: int = 0, reason: str = "", retry_after: float | None = None, body: object = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
        self.body = body

    @classmethod
    def by_another(cls, message: str) -> ApiError:
        """What something else answered."""
        error = cls(f"{message}; look at the server's address in the kubeconfig, and at the proxy")
        error.foreign = True
        return error

    @property
    def transient(self) -> bool:
        """Whether the same request may succeed a little later."""
        return self.status in (0, 408, 429, 500, 502, 503, 504)

    @property
    def trouble(self) -> str:
        """What is wrong with the server, while the request is repeated."""
        return f"the API server answers {self.status}: {self}" if self.status else str(self)


@dataclass(frozen=True)
class Call:
    """One request. ``timeout`` bounds the silence between two bytes, in seconds."""

    method: Method
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = JSON
    accept: str = JSON
    timeout: float = 30.0

    @property
    def url(self) -> str:
        """Path and query."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path


def path_of(resource: str, namespace: str, name: str = "", sub: str = "") -> str:
    """The path of a collection, an object in it, or a subresource of that."""
    path = PATHS[resource].format(namespace=quote(namespace, safe=""))
    return "/".join([path, *(quote(part, safe="") for part in (name, sub) if part)])


def create(
    resource: str, namespace: str, body: Mapping[str, Any], *, dry_run: bool = False, metadata_only: bool = False
) -> Call:
    """Create an object; unknown and duplicate fields are an error, not a warning."""
    query = {"fieldValidation": "Strict", **({"dryRun": "All"} if dry_run else {})}
    return Call("POST", path_of(resource, namespace), query, body, accept=METADATA_ONLY if metadata_only else JSON)


def get(resource: str, namespace: str, name: str, *, metadata_only: bool = False) -> Call:
    """Read one object."""
    accept = METADATA_ONLY if metadata_only else JSON
    return Call("GET", path_of(resource, namespace, name), accept=accept)


def list_page(
    resource: str, namespace: str, *, selector: str = "", fields: str = "", token: str = "", limit: int = PAGE
) -> Call:
    """One page of a list."""
    query = {"limit": str(limit), "labelSelector": selector, "fieldSelector": fields, "continue": token}
    return Call("GET", path_of(resource, namespace), {key: value for key, value in query.items() if value})


def watch(resource: str, namespace: str, version: str, *, selector: str = "") -> Call:
    """What changes after ``version``, with bookmarks so that a quiet watch can be opened again where it ended."""
    query = {
        "watch": "true",
        "resourceVersion": version,
        "allowWatchBookmarks": "true",
        "timeoutSeconds": str(WATCH_SECONDS),
        **({"labelSelector": selector} if selector else {}),
    }
    return Call("GET", path_of(resource, namespace), query, timeout=90.0)


def patch(resource: str, namespace: str, name: str, body: Mapping[str, Any]) -> Call:
    """Merge into one object."""
    return Call("PATCH", path_of(resource, namespace, name), body=body, content_type=MERGE_PATCH)


def delete(resource: str, namespace: str, name: str, *, version: str = "") -> Call:
    """Delete one object and, in the background, what it owns: a Job's own default would orphan its Pods.

    With a ``version`` only as long as that is its resourceVersion; 409 says that it has changed since.
    """
    body: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
    if version:
        body["preconditions"] = {"resourceVersion": version}
    return Call("DELETE", path_of(resource, namespace, name), body=body)


def pod_log(
    namespace: str, pod: str, container: str, *, follow: bool = False, since: str = "", tail: int | None = None
) -> Call:
    """A container's log with the kubelet's timestamps. ``since`` is RFC 3339, whole seconds."""
    query = {"container": container, "timestamps": "true", **({"follow": "true"} if follow else {})}
    if since:
        query["sinceTime"] = since
    if tail is not None:
        query["tailLines"] = str(tail)
    return Call("GET", path_of("pods", namespace, pod, "log"), query, accept="*/*", timeout=60.0)


def may_i(verb: str, group: str, resource: str, namespace: str, sub: str = "") -> Call:
    """Check whether we have a right; an empty namespace means the whole cluster."""
    attributes = {"verb": verb, "group": group, "resource": resource, "namespace": namespace, "subresource": sub}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
    }
    return Call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=body)


def who_am_i() -> Call:
    """Ask whom the API server takes us for."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    return Call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body=body)
