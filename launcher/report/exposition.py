"""Metrics as text for the store, and as a push to a Pushgateway.

The text is OpenMetrics 1.0, https://prometheus.io/docs/specs/om/open_metrics_spec.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.client import HTTPException, InvalidURL
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from atb.documents.plan import Plan
from atb.storage.proxies import bypasses_proxy
from launcher.report.metrics import Family

JOB = "atb"
"""The Pushgateway's ``job`` of all our groups."""
PUSH_SECONDS = 10.0


def render_text(families: Sequence[Family]) -> str:
    """The families as OpenMetrics text; those without a sample are left out."""
    return "".join(line + "\n" for line in (*_lines(families), "# EOF"))


def push(families: Sequence[Family], gateway: str, group: Mapping[str, str], seconds: float = PUSH_SECONDS) -> str:
    """Replace the group's metrics on a Pushgateway; returns why that failed, empty where it did not."""
    from prometheus_client import push_to_gateway
    from prometheus_client.exposition import default_handler

    collected = _Collected(families)
    try:
        past_proxy = bypasses_proxy(gateway if "://" in gateway else f"http://{gateway}")
        handler = _send_directly if past_proxy else default_handler
        push_to_gateway(gateway, JOB, collected, grouping_key=dict(group), timeout=seconds, handler=handler)
    except (OSError, ValueError, HTTPException) as error:
        return f"the metrics could not be pushed to {gateway}: {_explain(error)}"
    return ""


def _send_directly(
    url: str, method: str, timeout: float | None, headers: Sequence[tuple[str, str]], data: bytes
) -> Callable[[], None]:
    """As the library's own handler, past any proxy."""

    def send() -> None:
        request = Request(url, data, dict(headers), method=method)  # noqa: S310
        build_opener(ProxyHandler({})).open(request, timeout=timeout).close()

    return send


def _explain(error: Exception) -> str:
    """Why a push failed, in our own words: those of the library can hold a proxy's password, and what the server says
    back."""
    if isinstance(error, HTTPError):
        status = int(error.code)
        error.close()
        if 300 <= status < 400:
            return f"it redirects ({status}); give the address that it leads to"
        if status == 407:
            return "the proxy requires a user (407); look at HTTP_PROXY, HTTPS_PROXY and NO_PROXY"
        return f"it answered {status}"
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, ssl.SSLError):
        return "its certificate is not trusted, or the encrypted connection broke; look at SSL_CERT_FILE"
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    if isinstance(reason, OSError) and reason.errno and reason.strerror:
        return reason.strerror
    if isinstance(reason, HTTPException) and not isinstance(reason, InvalidURL):
        return "what answered is no HTTP server"
    return "there is no way to it; look at its address, HTTP_PROXY, HTTPS_PROXY and NO_PROXY"


def group_of(plan: Plan) -> dict[str, str]:
    """The Pushgateway's group of a run: the next run of its schedule replaces it, and so does the next one by hand."""
    cluster = plan.options.get("cluster") or {}
    found = {"namespace": cluster.get("namespace"), "schedule": plan.options.get("schedule")}
    return {name: value for name, value in found.items() if isinstance(value, str) and value}


class _Collected:
    """What the library takes: something that gives its own metrics."""

    def __init__(self, families: Sequence[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import Metric

        for family in self._families:
            metric = Metric(family.name, family.help, family.kind)
            for suffix, labels, value in family.samples:
                metric.add_sample(family.name + suffix, dict(labels), value)
            yield metric


def _lines(families: Sequence[Family]) -> Iterator[str]:
    for family in families:
        if not family.samples:
            continue
        yield f"# HELP {family.name} {_escape(family.help)}"
        yield f"# TYPE {family.name} {family.kind}"
        if family.unit:
            yield f"# UNIT {family.name} {family.unit}"
        for suffix, labels, value in family.samples:
            inner = ",".join(f'{name}="{_escape(text)}"' for name, text in sorted(labels.items()))
            yield f"{family.name}{suffix}{f'{{{inner}}}' if inner else ''} {float(value)!r}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
