from __future__ import annotations

import pytest
from botocore.credentials import Credentials

from atb.storage.s3.sign import Signer

EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
"""Of the examples that AWS publishes with their signatures."""
AT = 1_369_353_600.0


@pytest.mark.parametrize(
    ("query", "signature"),
    [
        ("lifecycle=", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ],
)
def test_requests_are_signed_as_aws_documents_it(query: str, signature: str) -> None:
    request = Signer("https://examplebucket.s3.amazonaws.com:443", "us-east-1", EXAMPLE).sign("/", query, AT).decode()
    assert request.startswith(f"GET /?{query} HTTP/1.1\r\nhost: examplebucket.s3.amazonaws.com\r\n")
    assert f"Signature={signature}\r\n\r\n" in request


def test_a_sessions_token_is_signed_and_a_new_secret_used_at_once() -> None:
    secrets = [Credentials("AKIA", "one", "token"), Credentials("AKIA", "two", "token")]
    requests = [Signer("http://localhost:80/s3", "eu-west-1", each).sign("/b/k", "", AT) for each in secrets]
    assert all(b"SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token," in each for each in requests)
    assert all(each.startswith(b"GET /s3/b/k HTTP/1.1\r\nhost: localhost\r\n") for each in requests)
    assert requests[0] != requests[1]


@pytest.mark.parametrize("token", ["a\nx-evil: 1", "a\r\n\r\nGET /", "ä", "a\x7f"])
def test_a_credential_can_not_add_headers(token: str) -> None:
    with pytest.raises(ValueError, match="can't be sent"):
        Signer("http://localhost", "us-east-1", Credentials("AKIA", "secret", token)).sign("/b/k")
