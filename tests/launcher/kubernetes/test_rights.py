"""The chart's role for the launcher: what the launcher does, and nothing more."""

from __future__ import annotations

import re

import pytest

from launcher.kubernetes.preflight.checks import RIGHTS, check_all
from tests.apiserver.http import Request
from tests.chart.helm import DAILY, pick, render
from tests.launcher.fixtures import ClusterFixture, make_options, make_plan, running

Right = tuple[str, str]
"""A verb and a resource, with its subresource."""

LOOKED_AT = {("list", "resourcequotas"), ("list", "limitranges"), ("get", "serviceaccounts")}
"""What the preflight looks at where it may, and passes over where it may not."""
QUEUE = {("get", "localqueues"), ("list", "workloads")}
OUTSIDE = {
    *(("list", "nodes"), ("get", "namespaces"), ("get", "priorityclasses"), ("get", "runtimeclasses")),
    ("get", "clusterqueues"),
}
EVERYBODYS = {("create", "selfsubjectaccessreviews"), ("create", "selfsubjectreviews")}
"""What the API server lets every account do."""
UNGRANTED = {("get", "secrets")}
"""Asked for and passed over where refused: the right would show what the Secrets hold."""

_PATH = re.compile(
    r"/apis?/(?:[^/]+/)?v\w+/(?:namespaces/[^/]+/)?(?P<resource>[a-z]+)(?:/(?P<name>[^/]+)(?:/(?P<sub>\w+))?)?"
)


def rights_of(kind: str, **values: object) -> set[Right]:
    role = pick(render({"schedules": [DAILY], **values}), kind)
    return {(verb, resource) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}


def right_used(request: Request) -> Right | None:
    match = _PATH.fullmatch(request.path)
    if match is None:
        return None  # the version, a group's discovery
    resource = f"{match['resource']}/{match['sub']}" if match["sub"] else match["resource"]
    if request.method == "GET":
        verb = "get" if match["name"] else "watch" if "watch" in request.query else "list"
    else:
        verb = {"POST": "create", "PATCH": "patch", "DELETE": "delete"}[request.method]
    return verb, resource


def test_the_role_is_what_the_preflight_asks_for_and_looks_at() -> None:
    required = {(verb, f"{resource}/{sub}" if sub else resource) for verb, _, resource, sub, _ in RIGHTS}
    assert rights_of("Role") == required | LOOKED_AT
    assert rights_of("Role", jobs={"queue": "training"}) == required | LOOKED_AT | QUEUE
    assert rights_of("ClusterRole", launcher={"clusterRole": True}) == OUTSIDE


@pytest.mark.parametrize("script", ["exit 0", "exit 137", "exit 2"])
def test_a_run_uses_no_right_that_the_role_does_not_give(fake: ClusterFixture, script: str) -> None:
    plan, options = make_plan("BTCUSDT"), make_options(oom_retries=1, service_account="trainer", priority_class="batch")
    assert fake.server is not None
    check_all(fake.cluster, fake.store, plan, options)
    fake.run_controller(plan, options, build=running(script)).run("create")
    used = {right for request in fake.server.requests if (right := right_used(request)) is not None}
    assert used - UNGRANTED - EVERYBODYS <= rights_of("Role") | OUTSIDE
    assert {("create", "jobs"), ("watch", "pods")} <= used
