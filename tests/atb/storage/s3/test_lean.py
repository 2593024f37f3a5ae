from __future__ import annotations

import io
import socket
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from botocore.exceptions import BotoCoreError

from atb.storage.s3.client import connect
from atb.storage.s3.lean import LeanReader, _read_answer, _read_page
from atb.storage.store import Entry

PAGE = """<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>
<IsTruncated>{truncated}</IsTruncated>{token}<EncodingType>url</EncodingType>
<Contents><Key>a+b%20%2B/%C3%A4.json</Key><Size>7</Size>
<LastModified>2026-01-31T06:00:00.000Z</LastModified><ETag>"0f"</ETag></Contents></ListBucketResult>"""


def test_a_page_of_a_listing_is_read() -> None:
    found = _read_page(PAGE.format(truncated="true", token="<NextContinuationToken>n</NextContinuationToken>").encode())
    assert found == ([Entry("a b +/ä.json", 7, '"0f"', datetime(2026, 1, 31, 6, tzinfo=UTC))], "n")


def test_names_are_decoded_only_where_the_server_has_encoded_them() -> None:
    page = PAGE.replace("<EncodingType>url</EncodingType>", "").format(truncated="false", token="")
    found = _read_page(page.encode())
    assert found is not None
    assert [entry.key for entry in found[0]] == ["a+b%20%2B/%C3%A4.json"]


@pytest.mark.parametrize(
    "page",
    ["<html/>", PAGE.format(truncated="true", token=""), PAGE.replace("<IsTruncated>{truncated}</IsTruncated>", "")],
)
def test_a_malformed_page_is_left_to_botocore(page: str) -> None:
    assert _read_page(page.encode()) is None


class Broken:
    """A client and session that fail in every way they can."""

    class Meta:
        region_name = "us-east-1"
        endpoint_url = "http://127.0.0.1:1"

    meta = Meta()

    class _Endpoint:
        class http_session:  # noqa: N801
            @staticmethod
            def send(request: object) -> object:
                raise OSError("no way there")

    _endpoint = _Endpoint()

    @staticmethod
    def get_credentials() -> object:
        raise BotoCoreError


def test_any_failure_is_left_to_botocore() -> None:
    reader = LeanReader(Broken(), Broken(), "bucket", 1.0)
    assert reader.get("key") is None
    assert reader.list_page("", None) is None


def test_a_silent_server_is_not_asked_the_same_at_once_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        session, client = connect("s3://bucket", "bucket", f"http://127.0.0.1:{silent.getsockname()[1]}")
        reader = LeanReader(session, client, "bucket", 0.1)
        with pytest.raises(TimeoutError):
            reader.get("key")
        with pytest.raises(TimeoutError):
            reader.list_page("", None)


def in_pieces(whole: bytes, piece: int = 1 << 16) -> Callable[[int], bytes]:
    """As a socket's ``recv`` that gets a few bytes at a time."""
    file = io.BytesIO(whole)
    return lambda most: file.read(min(most, piece))


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ("Content-Length: 5\r\n", "hello"),
        ("content-length:0\r\n", ""),
        ("Transfer-Encoding: chunked\r\n", "2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nTrailer: 1\r\n\r\n"),
    ],
)
@pytest.mark.parametrize("piece", [1, 2, 7, 64, 1 << 16])
def test_an_answer_is_read_to_its_end_in_pieces_of_any_size(headers: str, body: str, piece: int) -> None:
    whole = f'HTTP/1.1 200 OK\r\nETag: "0f"\r\nX-Amz-Meta-Sha256: 7\r\n{headers}\r\n{body}'.encode()
    status, answer = _read_answer(in_pieces(whole, piece))
    assert (status, answer.data) == (200, b"hello" if body else b"")
    assert (answer.etag, answer.metadata) == ('"0f"', {"sha256": "7"})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "HTTP/1.1 200 OK",
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1\r\n\r\n",
        "<html>\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhell",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n" + "".join(f"a{n}: b\r\n" for n in range(9_000)) + "\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, world",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK",
        "HTTP/1.1 200 OK\r\na: " + "b" * 100_000 + "\r\n\r\n",
    ],
)
def test_a_cut_or_malformed_answer_is_none(text: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        _read_answer(in_pieces(text.encode()))


def test_an_answer_that_would_not_fit_into_memory_is_left_unread() -> None:
    pieces = iter([b"HTTP/1.1 200 OK\r\nContent-Length: 200000000000\r\n\r\nand so on"])
    with pytest.raises(ValueError, match="too large"):
        _read_answer(lambda size: next(pieces))
