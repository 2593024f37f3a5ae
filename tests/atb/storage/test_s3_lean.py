from __future__ import annotations

from datetime import UTC, datetime

import pytest
from botocore.exceptions import BotoCoreError

from atb.storage.s3_lean import LeanReader, _read_page
from atb.storage.store import Entry

PAGE = """<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>
<IsTruncated>{truncated}</IsTruncated>{token}<Contents><Key>a%20b/%C3%A4.json</Key><Size>7</Size>
<LastModified>2026-01-31T06:00:00.000Z</LastModified><ETag>"0f"</ETag></Contents></ListBucketResult>"""


def test_a_page_of_a_listing_is_read() -> None:
    found = _read_page(PAGE.format(truncated="true", token="<NextContinuationToken>n</NextContinuationToken>").encode())
    assert found == ([Entry("a b/ä.json", 7, '"0f"', datetime(2026, 1, 31, 6, tzinfo=UTC))], "n")


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
    reader = LeanReader(Broken(), Broken(), "bucket")
    assert reader.get("key") is None
    assert reader.list_page("", None) is None
