"""What can be wrong with the AWS settings of a machine: one line each, with the remedy and nothing of a secret."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from atb.errors import SpecError, StoreError, StoreSetting
from atb.storage import open_store
from atb.storage.s3 import S3Store
from atb.storage.s3.client import connect, hurry

HEAD = "[default]\nregion = us-east-1\n"
ROLE = "role_arn = arn:aws:iam::123456789012:role/r\n"
PRINTED = '{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "hidden", "SessionToken": "t", "Expiration": "%s"}'
SSO = "sso_session = s\nsso_account_id = 1\nsso_role_name = r\n[sso-session s]\nsso_region = us-east-1\n"


@pytest.fixture(autouse=True)
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The configuration file of a home without any other setting."""
    for name in (name for name in os.environ if name.startswith("AWS_") or name.endswith("_CA_BUNDLE")):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    folder = tmp_path / ".aws"
    folder.mkdir()
    return folder / "config"


def read() -> None:
    """Open a store with the settings of this machine, say who we are there, and read from it."""
    store = open_store("s3://bucket/x", "http://127.0.0.1:9").within(0)
    store.identity()
    store.get("a")


def fail() -> str:
    """What is said of such settings."""
    with pytest.raises(StoreError) as refused:
        read()
    assert isinstance(refused.value, StoreSetting), refused.value
    message = str(refused.value)
    assert "\n" not in message
    assert "hidden" not in message
    return message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("s3 = odd", "set up (AttributeError); look at the AWS_… variables, ~/.aws/config"),
        ("credential_process = echo '[1]'", "can't be loaded (AttributeError); look at the AWS_… variables"),
        ("credential_process =", "can't be loaded (IndexError)"),
        ("credential_process = sh -c 'echo hidden >&2; exit 1'", "the command of credential_process failed"),
        ("credential_process = echo hidden", "can't be loaded (JSONDecodeError)"),
        (f"credential_process = echo '{PRINTED % '2020-01-01T00:00:00Z'}'", "can't be loaded (RuntimeError)"),
        ("credential_process = /no/such/command", "/no/such/command"),
        (f"{ROLE}web_identity_token_file = /no/such/token", "/no/such/token, which the credentials come from"),
        (f"{ROLE}source_profile = no-such", "can't be loaded (InvalidConfigError)"),
        (f"{ROLE}", "part of the credentials is missing: source_profile or credential_source"),
        (f"{ROLE}source_profile = b\nmfa_serial = m\n[profile b]\naws_access_key_id = a\naws_secret_access_key = b",
         "can't be loaded"),
        ("aws_access_key_id = a", "part of the credentials is missing: aws_secret_access_key"),
        ("aws_access_key_id = a\naws_secret_access_key = b\naws_session_token = hid\n  den", "the session token of"),
        (f"{SSO}sso_start_url = https://sso.example/start", "the login has expired: aws sso login"),
        ("ca_bundle = /no/such/file", "/no/such/file holds no certificates"),
    ],
)  # fmt: skip
def test_a_setting_that_can_t_be_used_is_one_line(config: Path, text: str, words: str) -> None:
    config.write_text(f"{HEAD}{text}\n")
    assert words in fail()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("AWS_SECRET_ACCESS_KEY", "hidden\n", "the secret of the credentials holds a space, a line break"),
        ("AWS_ACCESS_KEY_ID", "hid\x01den", "the key of the credentials holds"),
        ("AWS_SESSION_TOKEN", "hid den", "the session token of the credentials holds"),
        ("AWS_CA_BUNDLE", "/no/such/file", "look at AWS_CA_BUNDLE"),
        ("AWS_CA_BUNDLE", "/tmp", "/tmp holds no certificates"),
        ("AWS_CA_BUNDLE", "", "ca_bundle in ~/.aws/config is empty; leave it out, or name a file"),
        ("REQUESTS_CA_BUNDLE", " ", "AWS_CA_BUNDLE, REQUESTS_CA_BUNDLE or ca_bundle in ~/.aws/config is empty"),
        ("REQUESTS_CA_BUNDLE", __file__, "look at AWS_CA_BUNDLE, REQUESTS_CA_BUNDLE"),
        ("AWS_REGION", "us east", "the region does not exist: look at AWS_REGION"),
    ],
)
def test_a_variable_that_can_t_be_used_is_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    for known in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(known, "key")
    monkeypatch.setenv(name, value)
    assert words in fail()


def test_the_region_is_the_one_that_messages_say_to_set(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    config.write_text(f"{HEAD}aws_access_key_id = a\naws_secret_access_key = b\n")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    assert region() == "eu-north-1"
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert region() == "eu-west-1"


def region() -> str:
    store = open_store("s3://bucket/x", "http://127.0.0.1:9")
    assert isinstance(store, S3Store)
    return str(store._link.client.meta.region_name)


def test_an_empty_variable_is_no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "")
    assert open_store("s3://bucket/x").endpoint_url is None


@pytest.mark.parametrize(
    "text",
    [
        "endpoint_url = http://127.0.0.1:9\n",
        "services = own\n[services own]\ns3 =\n  endpoint_url = http://127.0.0.1:9\n",
        "endpoint_url = http://other:9\nservices = own\n[services own]\ns3 =\n  endpoint_url = http://127.0.0.1:9\n",
    ],
)
def test_a_server_that_the_configuration_names_is_the_store_s_in_every_way(
    monkeypatch: pytest.MonkeyPatch, config: Path, text: str
) -> None:
    config.write_text(HEAD + text)
    store = open_store("s3://bucket/x")
    assert isinstance(store, S3Store)
    assert store.endpoint_url == "http://127.0.0.1:9"
    assert store._link.client.meta.config.s3["addressing_style"] == "path"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:8")
    assert open_store("s3://bucket/x").endpoint_url == "http://127.0.0.1:8"
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    assert open_store("s3://bucket/x").endpoint_url is None


@pytest.mark.parametrize("address", ["http://host:9000/?key=hidden", "http://host:9000/#hidden"])
def test_what_an_endpoint_has_too_much_is_not_repeated(address: str) -> None:
    with pytest.raises(SpecError, match="more after") as refused:
        open_store("s3://bucket/x", address)
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize("setting", ["AWS_MAX_ATTEMPTS", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"])
def test_writes_that_can_be_left_out_go_to_the_same_server(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", setting: "1"}.items():
        monkeypatch.setenv(name, value.replace("1", "true") if "USE" in name else value)
    session, client = connect("s3://models", "models", None)
    hosts = [
        urlsplit(each.generate_presigned_url("get_object", Params={"Bucket": "models", "Key": "k"})).netloc
        for each in (client, hurry(session, client, None, 2.0))
    ]
    assert hosts == [hosts[0]] * 2
    assert hosts[0].startswith("models.s3")
