"""The rules of the restricted Pod Security level, as Kubernetes publishes them, for Linux Pods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def check_restricted(spec: dict[str, Any]) -> list[str]:
    """What a Pod's spec has that the restricted level refuses."""
    return [*_pod(spec), *(found for container in _containers(spec) for found in _container(spec, container))]


def _pod(spec: dict[str, Any]) -> Iterator[str]:
    for field in ("hostNetwork", "hostPID", "hostIPC", "hostUsers"):
        if spec.get(field):
            yield f"{field} is set"
    for volume in spec.get("volumes", []):
        for kind in set(volume) - {"name"} - _VOLUMES:
            yield f"volume {volume['name']} is a {kind}"
    if spec.get("securityContext", {}).get("sysctls"):
        yield "sysctls are set"


def _container(spec: dict[str, Any], container: dict[str, Any]) -> Iterator[str]:
    name, own, pod = container["name"], container.get("securityContext", {}), spec.get("securityContext", {})
    if own.get("privileged"):
        yield f"{name} is privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"{name} may escalate"
    if own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
        yield f"{name} may run as root"
    if own.get("runAsUser", pod.get("runAsUser")) == 0:
        yield f"{name} runs as root"
    profile = own.get("seccompProfile", pod.get("seccompProfile", {})).get("type")
    if profile not in ("RuntimeDefault", "Localhost"):
        yield f"{name} has the seccomp profile {profile}"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []):
        yield f"{name} keeps capabilities"
    if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield f"{name} adds capabilities"
    if own.get("procMount", "Default") != "Default":
        yield f"{name} has its own procMount"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield f"{name} has a host port"


def _containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [*spec.get("initContainers", []), *spec["containers"], *spec.get("ephemeralContainers", [])]
