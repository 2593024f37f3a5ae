"""A job's log as lines: from its Pod while there is one, from the store when it is gone."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

from atb.contract import keys
from atb.contract.names import whole_number
from atb.errors import NotFound, Unreadable
from atb.redaction import redact
from atb.storage import Store
from launcher.kubernetes.api import requests
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.requests import ApiError
from launcher.kubernetes.api.responses import parse_time, split_lines
from launcher.kubernetes.objects.job_status import PodStatus, read_pod
from launcher.kubernetes.objects.pod import CONTAINER

_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d) (.*)", re.DOTALL)

POLL_SECONDS = 1.0
MOST_FAILURES = 5
"""How many times the log of a container that has ended is asked for again: its node may have gone."""


def follow_log(
    cluster: Cluster, pod: str, *, sleep: Callable[[float], None] = time.sleep, tail: int | None = None
) -> Iterator[str]:
    """The lines of a Pod's log until its container has ended, however often the stream breaks or falls silent.

    Each time it continues from the last timestamp, and lines that come twice are dropped. Raises ApiError.
    """
    last, seen, failures = "", 0, 0
    while True:
        ended = _has_ended(cluster, pod)  # checked before reading: what it wrote as it ended is still read below
        try:
            call = requests.pod_log(cluster.namespace, pod, CONTAINER, follow=True, since=_seconds(last), tail=tail)
            skip = seen
            with cluster.stream(call) as chunks:
                for line in split_lines(chunks):
                    stamp, text = _split_stamp(line.decode("utf-8", "replace"))
                    if stamp and stamp < last:
                        continue
                    if stamp and stamp == last and skip > 0:
                        skip -= 1
                        continue
                    seen = seen + 1 if stamp == last else 1
                    last, skip, tail = stamp or last, (skip if stamp == last else 0), None
                    yield redact(text)
        except ApiError as error:
            if error.status == 404:
                return
            failures += ended is not False
            if failures > MOST_FAILURES or not (error.transient or (error.status == 400 and not ended)):
                raise  # 400: the container has not started
        else:
            if ended is not False:
                return
        sleep(POLL_SECONDS)


def read_log(cluster: Cluster, pod: str, *, tail: int | None = None) -> Iterator[str]:
    """The lines that a Pod's log holds now. Raises ApiError."""
    with cluster.stream(requests.pod_log(cluster.namespace, pod, CONTAINER, tail=tail)) as chunks:
        for line in split_lines(chunks):
            yield redact(_split_stamp(line.decode("utf-8", "replace"))[1])


def stored_log(store: Store, run: str, job: str) -> list[str]:
    """The log tail that the job's last attempt left in the store; empty where none did. Raises StoreError."""
    prefix = keys.attempts_prefix(run, job)
    logs = (entry.key[len(prefix) :] for entry in store.list(prefix) if entry.key.endswith("/log.txt"))
    numbers = [number for name in logs if (number := whole_number(name.removesuffix("/log.txt"))) is not None]
    if not numbers:
        return []
    try:
        data = store.get(keys.attempt(run, job, max(numbers), "log.txt"))
    except (NotFound, Unreadable):
        return []
    return redact(data.decode("utf-8", "replace")).splitlines()


def find_pods(cluster: Cluster, selector: str) -> list[PodStatus]:
    """The Pods, the newest last. Raises ApiError."""
    found, _ = cluster.list("pods", read_pod, selector=selector)
    return sorted(found.values(), key=lambda pod: (pod.created, pod.name))


def _has_ended(cluster: Cluster, pod: str) -> bool | None:
    """Whether the container has ended; None where the Pod is gone."""
    try:
        facts: PodStatus = cluster.send(requests.get("pods", cluster.namespace, pod), read_pod)
    except ApiError as error:
        if error.status == 404:
            return None
        raise
    return facts.exit_code is not None or facts.phase in ("Succeeded", "Failed")


def _split_stamp(line: str) -> tuple[str, str]:
    """The timestamp, made comparable as text, and the rest. Fractions are padded: RFC 3339 nano drops zeros."""
    match = _STAMP.fullmatch(line)
    if match is None:
        return "", line
    return f"{match[1]}.{(match[2] or '.')[1:]:0<9}{match[3]}", match[4]


def _seconds(stamp: str) -> str:
    """The whole second of a timestamp, which is all that sinceTime takes."""
    if not stamp:
        return ""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(parse_time(stamp[:19] + "Z")))
