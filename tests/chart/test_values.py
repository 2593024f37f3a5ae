"""Each value is read, commented, checked and documented."""

from __future__ import annotations

import copy
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jsonschema
import pytest
import yaml

from atb.redaction import TELLING_VALUE
from tests.chart.helm import CHART, DAILY, EVERYTHING, refusal, template
from tools.chart.__main__ import documents
from tools.chart.documents import Leaf, leaves, values_yaml

OTHER: dict[str, Any] = {
    "store.url": "s3://other",
    "store.endpointUrl": "https://other.example",
    "store.region": "us-west-2",
    "launcher.image.digest": f"sha256:{'1' * 64}",
    "trainer.image.digest": f"sha256:{'2' * 64}",
    **{f"{who}.resources": {"limits": {"memory": "1Gi"}} for who in ("launcher", "imageWarmer", "predictions")},
    "jobs.cpu": "3",
    "jobs.maxParallel": 3,
    "jobs.spot": "capacity=other",
    "jobs.onDemandAfter": 3,
    "jobs.workers": "auto",
    "jobs.slots": 3,
    "jobs.resources": {"rdma/hca": "1"},
    "scheduleDefaults.fdr": 0.1,
    "scheduleDefaults.demotion": "auto",
    "scheduleDefaults.workers": 4,
    "scheduleDefaults.slots": 2,
    "jobs.nodeLossSeconds": 30,
    "jobs.memory": "1Gi",
    "jobs.maxMemory": "64Gi",
    "jobs.gpuResource": "example.com/gpu",
    **{f"{who}.env": {"TZ": "Europe/Berlin"} for who in ("launcher", "jobs")},
    "jobs.affinity": {"nodeAffinity": {}},
    "jobs.runtimeClass": "nvidia",
    "scheduleDefaults.timeZone": "Europe/Berlin",
    "scheduleDefaults.presets": ["fast"],
    "scheduleDefaults.source": "sample",
    "scheduleDefaults.set": {"epochs": 3},
    "scheduleDefaults.promote": "auto",
    "schedules": [DAILY, {**DAILY, "name": "other"}],
    "predictions.cron": "5 * * * *",
    "predictions.timeZone": "Europe/Berlin",
    "predictions.deadlineSeconds": 60,
    "predictions.resources": {"limits": {"memory": "3Gi"}},
    "networkPolicy.ports": [8080],
    "networkPolicy.apiServerPorts": [16443],
    "networkPolicy.extraEgress": [{"to": [{"podSelector": {}}]}],
    "launcher.logFormat": "json",
    "metrics.pushGateway": "https://other",
    "resourceQuota.hard": {"pods": "10"},
    "admissionPolicy.action": "Warn",
    **{f"{who}.tolerations": [{"key": "gpu", "operator": "Exists"}] for who in ("launcher", "jobs", "predictions")},
    **{f"{who}.image.pullPolicy": "Always" for who in ("launcher", "trainer")},
    **{f"{who}.scratchSize": "3Gi" for who in ("launcher", "jobs", "predictions")},
}
"""Another valid value, where the kind of the default does not suggest one."""

LEAVES = {".".join(leaf.path): leaf for leaf in leaves()}


def another(path: str, leaf: Leaf) -> Any:
    if path in OTHER:
        return OTHER[path]
    match leaf.default:
        case bool():
            return not lookup(EVERYTHING, leaf.path, leaf.default)
        case int():
            return leaf.default + 100_000 if leaf.default > 50_000 else leaf.default + 1
        case float():
            return leaf.default + 1
        case str() | None:
            return "other"
        case list():
            return ["other"]
        case dict():
            return {"other": "value"}
    raise AssertionError(path)


def lookup(values: dict[str, Any], path: tuple[str, ...], default: Any) -> Any:
    for key in path:
        values = values.get(key, {}) if isinstance(values, dict) else {}
    return values if values != {} else default


def with_value(values: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(values)
    inner = changed
    for key in path[:-1]:
        inner = inner.setdefault(key, {})
    inner[path[-1]] = value
    return changed


def test_each_value_changes_what_is_rendered() -> None:
    # a tag and a name count where no digest and no other name beats them
    cases = {path: with_value(EVERYTHING, leaf.path, another(path, leaf)) for path, leaf in LEAVES.items()}
    base = template(EVERYTHING).stdout
    with ThreadPoolExecutor(4) as pool:
        answers = dict(zip(cases, pool.map(template, cases.values()), strict=True))
    for path, answer in answers.items():
        assert answer.returncode == 0, f"{path}: {answer.stderr}"
        assert answer.stdout != base, f"{path} changes nothing"


def test_each_value_has_a_comment_and_the_table_and_schema_are_current() -> None:
    assert all(leaf.description for leaf in LEAVES.values())
    for path, text in documents().items():
        assert path.read_text() == text, f"{path.name} is old; write it with: make chart-docs"


def test_values_yaml_holds_every_default() -> None:
    parsed = yaml.safe_load(values_yaml())
    for path, leaf in LEAVES.items():
        found = parsed
        for key in leaf.path:
            found = found[key]
        assert found == leaf.default, path


def test_the_schema_takes_the_chart_s_own_defaults() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(values_yaml()), schema)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("jobs.gpus", -1),
        ("jobs.gpus", "one"),
        ("jobs.cpu", "two"),
        ("jobs.memory", "8 GB"),
        ("jobs.ttlSeconds", 59),
        ("jobs.gpu", 1),
        ("jobs.image", "trainer"),
        ("store.url", "/a/directory"),
        ("launcher.image.digest", "latest"),
        ("launcher.image.pullPolicy", "Sometimes"),
        ("scheduleDefaults.presets", ["slow"]),
        ("scheduleDefaults.set.nonsense", 1),
        ("scheduleDefaults.set.as_of", "2026-01-01"),
        ("scheduleDefaults.set.epochs", 0),
        ("scheduleDefaults.timeZone", "Europe/Berlin; rm"),
        ("schedules", [{"name": "daily", "cron": "0 0 * * *"}]),
        ("schedules", [{**DAILY, "cron": "daily"}]),
        ("schedules", [{**DAILY, "name": "Daily"}]),
        ("schedules", [{**DAILY, "symbols": []}]),
        ("schedules", [{**DAILY, "symbol": "BTCUSDT"}]),
        ("admissionPolicy.action", "Shrug"),
        ("jobs.env.AWS_SECRET_ACCESS_KEY", "abc"),
        ("jobs.env.NOTE", "a name that nobody knows"),
        ("jobs.env.ATB_EXCHANGE_TOKEN", "abc"),
        ("launcher.env.DB_PASSWORD", "abc"),
        ("launcher.env.HTTPS_PROXY", "http://me:abc@proxy"),
        ("launcher.envPlain.ADDRESS", "postgres://me@host/db"),
        ("imagePullSecrets", [""]),
        ("jobs.labels.-a", "b"),
        ("jobs.labels.a", "b c"),
        ("jobs.annotations.a b", "c"),
        ("jobs.nodeSelector.a", "-"),
        ("jobs.priorityClass", "a..b"),
        ("jobs.memory", "1e999999999"),
        ("jobs.ttlSeconds", 2**31),
        ("nonsense", 1),
        ("store.secret", "a..b"),
        ("launcher.labels.a", "b c"),
        ("launcher.annotations.a b", "c"),
        ("predictions.nodeSelector.-a", "b"),
        ("launcher.resources.limits.memory", "8 GB"),
        ("imageWarmer.resources.limit", {"memory": "1Gi"}),
        ("resourceQuota.hard.pods", "many"),
        ("prometheusRule.labels.a", "b c"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path(path: str, value: Any) -> None:
    parts = path.split(".")
    message = refusal(with_value({}, tuple(parts), value))
    assert "values don't meet the specifications" in message
    assert parts[-1] in message
    assert "/".join(["", *parts[:-1]]) in message


def test_a_value_that_null_takes_away_is_missed_by_its_name_unless_null_is_one_of_its_values() -> None:
    nullable = {"jobs.runAsUser"}  # helm passes on no other null that is a default already
    paths = [
        "jobs",
        "jobs.env",
        "launcher.envPlain",
        "schedules",
        "store.url",
        "jobs.runAsUser",
        "scheduleDefaults.set",
    ]
    for path in paths:
        answer = template(with_value({}, tuple(path.split(".")), None))
        if path in nullable:
            assert answer.returncode == 0, answer.stderr
        else:
            assert f"missing property '{path.rpartition('.')[2]}'" in answer.stderr, (path, answer.stderr)


SECRET = "c4nary-Zx9"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("store.endpointUrl", f"http://key:{SECRET}@s3"),
        ("store.endpointUrl", f"https://s3?token={SECRET}"),
        ("metrics.pushGateway", f"http://key:{SECRET}@gateway:9091/path"),
        ("launcher.annotations", {"example.com/hook": f"https://me:{SECRET}@hooks"}),
        ("trainer.serviceAccount", {"annotations": {"note": f"me:{SECRET}@proxy:3128"}}),
        ("jobs.podPatch", {"spec": {"containers": [{"name": "x", "env": [{"name": "DB_TOKEN", "value": SECRET}]}]}}),
        ("jobs.podPatch", {"spec": {"containers": [{"name": "x", "args": [f"--db=postgres://a:{SECRET}@db"]}]}}),
        ("schedules", [{**DAILY, "jobs": {"annotations": {"note": "AKIAIOSFODNN7EXAMPLE"}}}]),
        ("fullnameOverride", f"ghp_{SECRET}-0123456789abcdef"),
    ],
)
def test_what_looks_like_a_secret_is_refused_wherever_it_is_and_not_repeated(path: str, value: Any) -> None:
    answer = template(with_value({}, tuple(path.split(".")), value))
    assert answer.returncode != 0
    assert path in answer.stderr
    assert "kubectl create secret" in answer.stderr
    assert not any(secret in answer.stdout + answer.stderr for secret in (SECRET, "AKIA"))


def test_images_roles_and_references_to_secrets_are_none() -> None:
    reference = {"name": "DB_TOKEN", "valueFrom": {"secretKeyRef": {"name": "db", "key": "token"}}}
    image = f"registry:5000/side:1@sha256:{'a' * 64}"
    values = {
        "jobs": {"podPatch": {"spec": {"containers": [{"name": "side", "image": image, "env": [reference]}]}}},
        "trainer": {"serviceAccount": {"annotations": {"role": "arn:aws:iam::123456789012:role/x", "by": "me@x.org"}}},
    }
    answer = template(values)
    assert answer.returncode == 0, answer.stderr


def test_the_chart_looks_for_what_the_launcher_looks_for() -> None:
    assert TELLING_VALUE in (CHART / "templates" / "schedule" / "_helpers.tpl").read_text()
