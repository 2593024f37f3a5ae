"""Cluster options: what is refused, and with which message."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from atb.schema import first_problem
from launcher.kubernetes.options import ClusterOptions


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_SECRET_ACCESS_KEY", "abc"),
        ("BINANCE_API_KEY", "x"),
        ("PLAIN", "AKIAIOSFODNN7EXAMPLE"),
        ("URL", "postgres://ada:lovelace@db/x"),
        ("PLAIN", "wJalrXUtnFEMIK7MDENGbPxRfiCYzEXAMPLEKEY"),
        ("PLAIN", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"),
    ],
)
def test_a_value_that_looks_like_a_secret_is_refused_without_repeating_it(name: str, value: str) -> None:
    with pytest.raises(ValidationError, match="looks like a secret") as caught:
        ClusterOptions(image="x", env={name: value})
    assert value not in str(caught.value) or len(value) < 5
    assert "kubectl create secret" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TF_CPP_MIN_LOG_LEVEL", "2"),
        ("AWS_DEFAULT_REGION", "eu-central-1"),
        ("HTTPS_PROXY", "http://proxy.example:3128"),
        ("https_proxy", "http://proxy.example:3128"),
        ("ATB_BINANCE_REST_URL", "https://mirror.example/binance"),
    ],
)
def test_a_name_that_is_known_is_taken(name: str, value: str) -> None:
    assert ClusterOptions(image="x", env={name: value}).env == {name: value}


@pytest.mark.parametrize(
    "name",
    [
        "NOTE",
        "DATABASE_URL",
        "ATB_TOKEN",
        "MY_TF_X",
        "TF_AUTH_KEY_ID_TOKEN",
        "PGPASS",
        "ATB_PASSPHRASE",
        "ATB_API_COOKIE",
    ],
)
def test_any_other_name_is_refused_unless_it_is_declared_plain(name: str) -> None:
    with pytest.raises(ValidationError, match="kubectl create secret"):
        ClusterOptions(image="x", env={name: "a value"})
    assert ClusterOptions(image="x", env_plain={name: "a value"}).env_plain == {name: "a value"}


@pytest.mark.parametrize("value", ["https://me:hidden@mirror", "https://hidden@mirror", "https://:hid/den@mirror"])
@pytest.mark.parametrize("option", ["env", "env_plain"])
def test_a_password_in_an_address_is_refused_however_it_is_named(option: str, value: str) -> None:
    with pytest.raises(ValidationError, match="looks like a secret") as refused:
        ClusterOptions(image="x", **{option: {"HTTPS_PROXY": value}})
    assert "hid" not in str(refused.value)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("annotations", {"hook": "https://me:hidden@hooks"}),
        ("pod_patch", {"spec": {"containers": [{"name": "x", "args": ["--proxy=http://me:hidden@proxy"]}]}}),
        ("pod_patch", {"spec": {"containers": [{"name": "x", "args": ["--token=hidden"]}]}}),
        ("pod_patch", {"spec": {"containers": [{"name": "x", "env": [{"name": "DB_PASS", "value": "hidden"}]}]}}),
        ("image", "https://me:hidden@registry/atb"),
        ("labels", {"team": "ghp_hidden0123456789012"}),
        ("node_selector", {"team": "ghp_hidden0123456789012"}),
        ("tolerations", [{"key": "team", "value": "ghp_hidden0123456789012"}]),
    ],
)
def test_no_option_holds_a_secret(option: str, value: object) -> None:
    with pytest.raises(ValidationError, match=r"(looks like|may hold) a secret") as refused:
        ClusterOptions.model_validate({"image": "x"} | {option: value})
    assert "hidden" not in first_problem(refused.value)


def test_an_unknown_option_is_an_error() -> None:
    with pytest.raises(ValidationError, match="gpu_count"):
        ClusterOptions(image="x", gpu_count=2)  # type: ignore[call-arg]


NEVER = "requiredDuringSchedulingIgnoredDuringExecution"
RATHER = "preferredDuringSchedulingIgnoredDuringExecution"
FIELDS = "matchFields"
NO_AFFINITIES: list[Any] = [3, None, [], {NEVER: None}, {NEVER: []}, {RATHER: {}}]
NO_TERMS: list[Any] = [3, [3], [{FIELDS: 3}]]
NO_CONTAINERS: list[Any] = [3, {}, [3], [{}], [{"name": 1}]]
NO_METADATA: list[Any] = [3, [], {"labels": [1]}]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("labels", {key: "x"}) for key in ("-a", "a b", "a/b/c", "A.com/b", "a..b/c", "/b", "a/", "", "x" * 64)),
        *(("labels", {"a": value}) for value in ("-b", "b c", "b" * 64, "b/c", "b\n", "٣")),
        ("labels", {f"{'a' * 254}/b": "c"}),
        ("node_selector", {"a": "b c"}),
        ("annotations", {"a b": "any value"}),
        ("annotations", {"a": "x" * 300_000}),
        *(("resources", {name: "1"}) for name in ("hca", "requests.cpu", "a/b/c", "a..b/c", "")),
        *(("resources", {"rdma/hca": amount}) for amount in ("1.5", "500m", "-1", "1e99")),
        *(("tolerations", [{"key": key, "operator": "Exists"}]) for key in ("a b", "-a", 3)),
        ("tolerations", [{"key": "a", "operator": "Equal", "value": "b c"}]),
        ("tolerations", [{"key": "a", "operator": "Exists", "effect": "NoSchedul"}]),
        ("tolerations", [{"key": "a", "operator": "Above"}]),
        ("tolerations", [{"operator": "Equal", "value": "a"}]),
        *(("service_account", name) for name in ("a..b", "a.-b", ".a", "a" * 254)),
        ("image_pull_secrets", ["a..b"]),
        *(("namespace", name) for name in ("a.b", "a" * 64, "A", "-a")),
        *(("affinity", {"nodeAffinity": part}) for part in NO_AFFINITIES),
        *(("affinity", {"nodeAffinity": {NEVER: {"nodeSelectorTerms": terms}}}) for terms in NO_TERMS),
        *(("pod_patch", {"spec": {"containers": part}}) for part in NO_CONTAINERS),
        ("pod_patch", {"spec": {"containers": [{"name": "trainer", "env": {"A": "b"}}]}}),
        *(("pod_patch", {"metadata": part}) for part in NO_METADATA),
        ("queue", "a" * 64),
        ("workload_priority", "a" * 64),
        ("gpu_resource", "a..b/gpu"),
        ("spot", "a..b/c=d"),
        ("run_as_user", 2**31),
        ("ttl_seconds", 2**31),
    ],
)
def test_what_kubernetes_would_refuse_in_each_job_is_refused_once(option: str, value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        ClusterOptions(image="x", **{option: value})
    assert refused.value.errors()[0]["loc"][0] == option


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("labels", {"a": "", "example.com/Team_1": "A.b-c_1", "x" * 63: "y" * 63}),
        ("annotations", {"example.com/note": "any text, ü\n"}),
        ("resources", {"rdma/hca": "1k", "hugepages-2Mi": "4Mi", "ephemeral-storage": "1.5Gi"}),
        ("tolerations", ({"operator": "Exists"}, {"key": "a.b/c", "value": "", "effect": "NoExecute"})),
        ("tolerations", ({"key": "a", "operator": "Exists", "tolerationSeconds": 60, "effect": None},)),
        ("service_account", "a.b-c"),
    ],
)
def test_what_kubernetes_takes_is_taken(option: str, value: Any) -> None:
    assert getattr(ClusterOptions(image="x", **{option: value}), option) == value


def test_finished_jobs_stay_for_at_least_a_minute() -> None:
    assert ClusterOptions(image="x", ttl_seconds=60).ttl_seconds == 60
    with pytest.raises(ValidationError, match="ttl_seconds"):
        ClusterOptions(image="x", ttl_seconds=59)


def test_memory_above_its_own_limit_is_refused() -> None:
    with pytest.raises(ValidationError, match="above max_memory"):
        ClusterOptions(image="x", memory="64Gi")


@pytest.mark.parametrize("option", ["memory", "max_memory", "scratch_size"])
@pytest.mark.parametrize("text", ["500m", "1", "1e-9", "8k"])
def test_a_size_of_some_bytes_is_a_slip_of_the_unit(option: str, text: str) -> None:
    with pytest.raises(ValidationError, match="is less than 1Mi of bytes; write 500Mi or 8Gi"):
        ClusterOptions(image="x", **{option: text})


IMAGE = "registry.example:5000/team/a__b/c-d.e"


@pytest.mark.parametrize(
    "image", ["x", "atb:1.0", f"{IMAGE}:V_1@sha256:{'a' * 64}", "LOCAL/x", "[::1]:5000/x", "a.b/c"]
)
def test_an_image_is_named_as_registries_do(image: str) -> None:
    assert ClusterOptions(image=image).image == image


@pytest.mark.parametrize(
    "image", ["Atb", "a b", "ä", "/x", "x/", "x:", "x@sha256", "a/B:1", "../x", "{}", "x:1:2", "x\n"]
)
def test_what_no_registry_holds_is_refused(image: str) -> None:
    with pytest.raises(ValidationError, match="is no image: write it in small letters"):
        ClusterOptions(image=image)


@pytest.mark.parametrize("text", ["lots", "-1Gi", "8 Gi", "0", "8GB"])
def test_what_is_no_positive_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        ClusterOptions(image="x", memory=text)


def test_every_option_is_described() -> None:
    assert all(field.description for field in ClusterOptions.model_fields.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_demand_after": 2}, "on_demand_after needs spot"),
        ({"spot": "a=b", "on_demand_after": 2, "workers": 2}, "on_demand_after is for Jobs of their own"),
        ({"spot": "a=b", "node_selector": {"a": "c"}}, "both name a"),
        *(({"spot": text}, "spot") for text in ("a", "=b", "a=", "a=b=c", "a=b,c=d", "-a=b", "a=b!", "a/b/c=d")),
    ],
)
def test_spot_nodes_are_named_by_one_label(options: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ClusterOptions(image="x", **options)


@pytest.mark.parametrize("text", ["a=b", "karpenter.sh/capacity-type=spot", "cloud.google.com/gke-spot=true"])
def test_a_label_of_spot_nodes_is_taken(text: str) -> None:
    name, _, value = text.partition("=")
    assert ClusterOptions(image="x", spot=text, on_demand_after=1).spot_label == {name: value}
