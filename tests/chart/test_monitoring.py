"""The alerts and the dashboard ask for metrics that runs write, by labels that those have."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from launcher.report.metrics import Family
from tests.chart.helm import DAILY, EVERYTHING, NAMESPACE, pick, render
from tests.chart.test_schedules import command_of
from tests.launcher.report.test_metrics import measure, store

__all__ = ["store"]

GATEWAY = "http://gateway.monitoring:9091"
VALUES: dict[str, Any] = {
    **EVERYTHING,
    "metrics": {"pushGateway": GATEWAY, "dashboard": {"enabled": True}},
    "prometheusRule": {"enabled": True, "championDays": 30},
}
GROUPED = {"namespace", "schedule", "job"}
"""What the Pushgateway's group adds to each sample."""


def exprs_of_alerts() -> list[str]:
    rules = pick(render(VALUES), "PrometheusRule")["spec"]["groups"][0]["rules"]
    return [rule["expr"] for rule in rules if "atb_" in rule["expr"]]


def exprs_of_dashboard() -> list[str]:
    dashboard = json.loads(pick(render(VALUES), "ConfigMap", "rel-atb-dashboard")["data"]["atb.json"])
    variables = [each["query"]["query"] for each in dashboard["templating"]["list"] if each["type"] == "query"]
    return [*variables, *(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])]


def written(families: list[Family]) -> dict[str, set[str]]:
    """The labels of each series that runs write, by its name."""
    found: dict[str, set[str]] = {}
    for family in families:
        for suffix, labels, _ in family.samples:
            found.setdefault(family.name + suffix, set()).update(labels)
    return found


@pytest.mark.parametrize(("exprs", "least"), [(exprs_of_alerts, 3), (exprs_of_dashboard, 12)])
def test_each_queried_metric_is_one_that_runs_write(exprs: Any, least: int, store: Any) -> None:
    series = written(measure(store))
    found = exprs()
    assert len(found) >= least
    for expr in found:
        names = re.findall(r"\batb_[a-z_]+", expr)
        assert names, expr
        for name in names:
            assert name in series, expr
        known = GROUPED.union(*(series[name] for name in names))
        named = set(re.findall(r"(\w+)(?:=~?|!~|!=)\"", expr))
        for group in re.findall(r"by \(([^)]*)\)", expr):
            named |= {label.strip() for label in group.split(",")}
        assert named <= known, expr


def test_the_alerts_ask_for_this_releases_schedules_alone() -> None:
    for expr in exprs_of_alerts():
        assert f'namespace="{NAMESPACE}",schedule=~"rel-atb-daily"' in expr


def test_without_a_gateway_nothing_asks_for_what_is_not_pushed() -> None:
    values = {**VALUES, "metrics": {}}
    rules = pick(render(values), "PrometheusRule")["spec"]["groups"][0]["rules"]
    assert [rule["alert"] for rule in rules] == ["AtbScheduleWithoutSuccess"]
    assert "--push-gateway" not in command_of(DAILY)


def test_the_launcher_pushes_and_may_reach_the_gateway() -> None:
    command = command_of(DAILY, metrics={"pushGateway": GATEWAY})
    assert command[command.index("--push-gateway") + 1] == GATEWAY
    egress = pick(render(VALUES), "NetworkPolicy", "rel-atb-launcher")["spec"]["egress"]
    assert 9091 in [port["port"] for rule in egress for port in rule["ports"]]
    egress = pick(render(VALUES), "NetworkPolicy", "rel-atb-trainer")["spec"]["egress"]
    assert 9091 not in [port["port"] for rule in egress for port in rule["ports"]]


def test_the_dashboard_says_what_each_panel_shows() -> None:
    dashboard = json.loads(pick(render(VALUES), "ConfigMap", "rel-atb-dashboard")["data"]["atb.json"])
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    assert all(panel["title"] and panel["targets"] for panel in dashboard["panels"])
