"""What is taken for a secret, and what is not."""

from __future__ import annotations

import base64
import random

import pytest

from atb.errors import SpecError
from atb.redaction import holds_secret, looks_like_secret, redact


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_SECRET_ACCESS_KEY", "anything"),
        ("DB_PASSWORD", "x"),
        ("ID", "AKIAABCDEFGHIJKLMNOP"),
        ("URL", "https://user:pass@host/path"),
        ("X", "wJalrXUtnFEMI/K7MDENGbPxRfiCYzEXAMPLEKEYa1"),
        ("X", "ghp_abcdefghijklmnopqrstuvwxyz0123"),
    ],
)
def test_a_secret_is_seen_by_name_shape_or_randomness(name: str, value: str) -> None:
    assert looks_like_secret(name, value)


def test_random_keys_are_seen() -> None:
    rng = random.Random(1)
    keys = [base64.b64encode(rng.randbytes(30)).decode() for _ in range(300)]
    assert sum(looks_like_secret("x", key) for key in keys) > 0.9 * len(keys)


@pytest.mark.parametrize(
    "value",
    [
        "files:/tmp/pytest-of-root/pytest-12/test_a_Schedule_fired_by_hand_trains_0/bars",
        "files:/home/Some.User/Documents/Market-Data-2026/binance_spot_hourly_bars",
        "s3://company-models-eu-west-1/production/atb/Price_Models_V2",
        "registry.example.com/team/atb-trainer@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "classic,+funding_rate",
        "2026-01-31T06:00:00+00:00",
    ],
)
def test_paths_names_and_digests_are_no_secrets(value: str) -> None:
    assert not looks_like_secret("source", value)


@pytest.mark.parametrize(
    "value", ["classic,+OpenInterestUSDT1hBinance", "files:/data/BinanceUsdtPerp1h2026", "s3://bucket/Some/Path2026"]
)
def test_camel_case_names_have_no_secret_s_shape(value: str) -> None:
    assert not holds_secret(value)


@pytest.mark.parametrize(
    "address", ["https://me:hid@h/x", "https://hid@h/x", "https://:hid@h", "http://me:hi/d@h:8080"]
)
def test_who_an_address_is_opened_as_is_redacted(address: str) -> None:
    assert "hi" not in redact(f"GET {address} failed")


@pytest.mark.parametrize(
    "text",
    [
        "'me:hidden@host:9000' is not an endpoint's address", "store '//me:hidden@h/b' begins with two slashes",
        "store 's3:/me:hidden@bucket/x'", "https:/me:hidden@h", "https://h/x?token=hidden", "s3://b/x?AWSAccessKeyId=hidden",
        "https://h/x?a=b&X-Amz-Signature=hidden&c=d", "https://h/#access_token=hidden", "http://h/?api_key=hidden",
    ],
)  # fmt: skip
def test_a_secret_in_an_address_that_is_none_is_redacted(text: str) -> None:
    assert "hidden" not in redact(text)
    assert holds_secret(text)


@pytest.mark.parametrize(
    "text",
    [
        "registry:5000/team/atb@sha256:9f86d0", "atb:1.2@sha256:9f86d0", "quarantine/runs/r1/jobs/A/result.json@9f86d0",
        "s3://bucket/data@2026/x", "https://h/x?list-type=2&prefix=a", "signals/A/1h/fast/2026-01-31T06:00.json@9f86d0",
        "BTC/USDT:USDT", "atb-launch why r1 BTCUSDT; see user@example.com", "module.name:function",
    ],
)  # fmt: skip
def test_names_with_colons_and_ats_are_no_secrets(text: str) -> None:
    assert redact(text) == text


def test_a_redacted_text_keeps_everything_else() -> None:
    assert redact("key AKIAABCDEFGHIJKLMNOP end") == "key [redacted] end"


@pytest.mark.parametrize("header", ["Authorization: Basic bWU6aGlkZGVuMQ==", "no right for bearer opaque-token-0123"])
def test_a_login_that_an_answer_repeats_is_masked(header: str) -> None:
    assert redact(header).endswith("[redacted]")


@pytest.mark.parametrize(
    "words", ["a basic preset: 12345678 bars", "the bearer token has expired", "Basic authentication"]
)
def test_ordinary_words_about_logins_stay(words: str) -> None:
    assert redact(words) == words


@pytest.mark.parametrize(
    "text",
    [
        "https://me:p@hidden@h/x", "https://h/x?sig=hidden&se=1", "https://h/?api-key=hidden", "https://h/?a=b;token=hidden",
        "https://h/x%3Ftoken%3Dhidden", '{"password": "hidden"}', '{\\"access_key\\": \\"hidden\\"}',
        "AWS_SECRET_ACCESS_KEY=hidden", "aws_session_token = hidden", "AccountKey=hidden;EndpointSuffix=x",
        "password: hidden7", "--token hidden", "--db-password=hidden", "Authorization: token hidden",
        "'x\\nAuthorization: token hidden\\n'", "X-Vault-Token: hidden", "Set-Cookie: sid=hidden",
        "Invalid header value b'hidden\\n'", "-----BEGIN PRIVATE KEY-----\nhidden\n-----END PRIVATE KEY-----\n",
        "IQoJb3JpZ2luX2VjEhiddenhiddenhidden", "github_pat_hidden0123456789012345",
    ],
)  # fmt: skip
def test_what_is_named_like_a_secret_or_signed_or_sent_as_a_header_is_redacted(text: str) -> None:
    assert "hidden" not in redact(text)
    assert holds_secret(text)


@pytest.mark.parametrize(
    "text",
    [
        "--source files:bars@2026", "files:store:bars@v2/x", "/mnt/x:y@z/bars", "BTC/USDT:USDT@x", "atb:1@sha512:0f0f",
        "ssh://git@host/team/x.git", "git@host:team/x.git", "http://host:9000/b@2026/x", "s3://sk-our-models-2026/x",
        "--env-from-secret=atb-store", "secretName: atb-store", "--token=$(TOKEN)", "--password-file=/etc/x",
        "--private-key=/etc/tls/key.pem", "automountServiceAccountToken=false", "max_tokens=5", "bad token: foo1",
        "the password: look at AWS_…", "AWS_SESSION_TOKEN does not belong to this key: set all three",
    ],
)  # fmt: skip
def test_references_paths_and_ordinary_words_stay(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    "value", ["classic,+OpenInterestUSDT1hBinance", "files:/data/BinanceUsdtPerp1h2026", "BTCUSDT1hFundingRate8h"]
)
def test_camel_case_names_and_hashes_are_no_random_keys(value: str) -> None:
    assert not looks_like_secret("features", value)


def test_an_error_is_redacted_where_it_is_made_so_that_no_document_or_table_holds_more() -> None:
    assert str(SpecError("--store s3://me:hidden@bucket")) == "--store s3[redacted]bucket"


def test_a_long_text_is_looked_through_only_once() -> None:
    assert not looks_like_secret("", "A" * 1_000_000)
