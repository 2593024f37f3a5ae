"""Why something waits or has failed: stable categories, each with what helps. Pure functions of facts and messages."""

from __future__ import annotations

import re
from dataclasses import dataclass

from atb.contract.exits import BY_CODE, last_error
from launcher.kubernetes.objects.job_status import Condition, JobStatus, PodStatus


@dataclass(frozen=True, slots=True)
class Finding:
    """A category and the one line that says what happened."""

    category: str
    reason: str


_TRANSIENT_PULL = re.compile(
    r"toomanyrequests|too many requests|\b429\b|QPS exceeded|pull rate|rate limit|timeout|timed out|"
    r"connection re(?:set|fused)|i/o error|unexpected EOF|temporary failure|no such host|TLS handshake|"
    r"\b50[0234]\b|service unavailable|bad gateway|context deadline|context canceled|canceled",
    re.IGNORECASE,
)
_PERMANENT_PULL = re.compile(
    r"not found|manifest unknown|unauthorized|unauthorised|authentication required|access denied|\bdenied\b|"
    r"forbidden|\b40[134]\b|does not exist|no basic auth|invalid reference|couldn't parse image|no match for platform|"
    r"repository name|name unknown",
    re.IGNORECASE,
)
_PULL_REASONS = {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError"} | {
    "RegistryUnavailable",
    "SignatureValidationFailed",
}
_START_REASONS = {"CreateContainerError", "RunContainerError", "PreStartHookError", "PostStartHookError"} | {
    "CreatePodSandboxError",
    "CreateContainerFailed",
}
_OWN_TAINT = r"taint(?:\(s\))? \{(?!node-role\.kubernetes\.io/|node\.kubernetes\.io/)"
"""A taint that was put on a pool of nodes on purpose."""
_POLICY_EXIT = re.compile(r"failed with exit code (\d+)")


def diagnose_waiting(reason: str, message: str) -> Finding | None:
    """Why a container does not start; None where it is only on its way."""
    text = message or reason
    if reason in ("InvalidImageName", "ErrImageNeverPull"):
        return Finding("image", text)
    message = _without_names(message)
    if reason in _PULL_REASONS:
        # a permanent answer can be wrapped in words that sound transient, never the other way round, except for
        # "not found" of the registry's own name
        if re.search("no such host", message, re.IGNORECASE):
            return Finding("image-passing", text)
        if _TRANSIENT_PULL.search(message):
            return Finding("image-passing", text)
        if _PERMANENT_PULL.search(message) or reason == "SignatureValidationFailed":
            return Finding("image", text)
        return Finding("image-passing", text)
    if reason == "CreateContainerConfigError":
        return Finding("config", text)
    if reason in _START_REASONS:
        return Finding("start", text)
    return None


def _without_names(message: str) -> str:
    """A pull's message without the image's own name and tag and without addresses, which hold both."""
    message = re.sub(r"https?://[^\s\"\\]+", "", message)
    for name in set(re.findall(r"(?:image|reference|ref):? \\?\"([^\"\\]+)", message)):
        message = message.replace(name, "")
    return message


def diagnose_unscheduled(condition: Condition) -> Finding:
    """Why the scheduler has no node for a Pod: the cause that most nodes share, the GPU first."""
    message = condition.message or condition.reason
    if condition.reason == "SchedulingGated":
        return Finding("queue", message or "scheduling is gated")
    counts: dict[str, int] = {}
    for part in re.split(r"[:,.]\s+", message):
        match = re.match(r"(\d+) (.+)", part)
        if match is None:
            continue
        number, text = int(match[1]), match[2]
        if (category := _cause_of(text)) is not None:
            counts[category] = counts.get(category, 0) + number
    if not counts:
        return Finding("unschedulable", message)
    if len(counts) > 1 and not re.search(_OWN_TAINT, message):
        counts.pop("taint", None)  # the control plane's, or unnamed: what the other nodes lack is more informative
    # nodes without the device are what a GPU job waits for, however many other nodes are tainted or too small
    order = ("gpu", "affinity", "memory", "cpu", "taint", "unschedulable")
    return Finding("gpu" if "gpu" in counts else max(order, key=lambda name: counts.get(name, 0)), message)


def _cause_of(text: str) -> str | None:
    if text.startswith("Insufficient "):
        resource = text.removeprefix("Insufficient ").rstrip(".")
        return resource if resource in ("cpu", "memory") else "gpu" if "/" in resource else "unschedulable"
    if "taint" in text:
        return "taint"
    if "affinity" in text or "selector" in text:
        return "affinity"
    if "unschedulable" in text or "Too many pods" in text or "volume" in text:
        return "unschedulable"
    return None


def diagnose_ended(pod: PodStatus) -> Finding:
    """Why a Pod ended. DisruptionTarget first, then OOMKilled, then the Pod's own reason, then the exit code."""
    where = f" on {pod.node}" if pod.node else ""
    if pod.disrupted is not None:
        return _disruption(pod.disrupted, where)
    if pod.exit_reason == "OOMKilled":
        return Finding("oom", f"the kernel killed it for using too much memory{where}")
    if pod.reason == "Evicted":
        return Finding("evicted", pod.message or f"evicted{where}")
    if pod.reason in ("NodeLost", "Terminated", "NodeShutdown", "Shutdown"):
        return Finding("node-lost", pod.message or f"the node went away{where}")
    if pod.reason == "UnexpectedAdmissionError":
        device = re.search(r"device|gpu|allocate", pod.message, re.IGNORECASE)
        return Finding("no-accelerator" if device else "node-lost", f"{pod.message}{where}")
    if pod.reason == "DeadlineExceeded":
        return Finding("deadline", pod.message or "out of time")
    if pod.reason in ("OutOfcpu", "OutOfmemory", "OutOfpods", "NodeAffinity", "NodePorts") or (
        pod.reason.startswith("OutOf")
    ):
        return Finding("node-lost", f"the kubelet{where} rejected it: {pod.message or pod.reason}")
    if pod.exit_code is None:
        return Finding("node-lost", pod.message or f"the Pod ended, but its container's exit was never reported{where}")
    if pod.exit_reason in ("ContainerCannotRun", "StartError") or pod.exit_code in (126, 127):
        return Finding(
            "start", " ".join(pod.exit_message.split())[:1000] or f"the container can't be started ({pod.exit_code})"
        )
    return diagnose_exit(pod.exit_code, last_error(pod.exit_message)[:400], where)


def diagnose_exit(code: int, message: str = "", where: str = "") -> Finding:
    """What an exit code means."""
    if code == 137:
        return Finding("oom", f"killed (137){where}, most likely for using too much memory")
    known = BY_CODE.get(code)
    if known is None or code == 0:
        return Finding("bug", f"exited with code {code}{where}{': ' if message else ''}{message}")
    return Finding(known.category, message or f"{known.meaning}{where}")


def diagnose_failed_job(job: JobStatus, pods: list[PodStatus]) -> Finding:
    """Why a Job has failed: by its own reason, then by its last Pod, then by its condition."""
    failed = job.failed or job.failing
    assert failed is not None
    if failed.reason == "DeadlineExceeded":
        return Finding("deadline", f"ran longer than its deadline of {job.deadline_seconds} s")
    ended = [pod for pod in pods if pod.phase == "Failed"]
    if failed.reason == "PodFailurePolicy" and (match := _POLICY_EXIT.search(failed.message)):
        # the Pod that the rule matched, not one that was interrupted before it
        code = int(match[1])
        for pod in reversed(ended):
            if pod.exit_code == code and pod.disrupted is None:
                return diagnose_ended(pod)
        return diagnose_exit(code)
    if counted := [pod for pod in ended if pod.disrupted is None]:
        return diagnose_ended(counted[-1])
    if ended:
        return diagnose_ended(ended[-1])
    return Finding("failed", failed.message or failed.reason or "the Job has failed")


def _disruption(condition: Condition, where: str) -> Finding:
    # the reason only words the finding; what is done depends on the condition's type alone
    if condition.reason == "DeletionByPodGC":
        return Finding("node-lost", f"the node went away{where}")
    if condition.reason == "DeletionByTaintManager":
        return Finding("node-lost", condition.message or f"the node became unreachable{where}")
    if condition.reason == "TerminationByKubelet":
        return Finding("preempted", condition.message or f"the kubelet stopped it{where}")
    return Finding("preempted", condition.message or f"interrupted{where} ({condition.reason})")
