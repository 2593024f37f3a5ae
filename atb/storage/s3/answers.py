"""What an answer of a server must have before it counts: an etag, and all of the content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from atb.storage.s3 import failures
from atb.storage.store import Entry

DIGEST = "sha256"
"""The object's metadata that holds the digest of its content: an etag is a digest on some stores and not on others."""

_ENTRY = {"Key", "Size", "ETag", "LastModified"}


def etag_of(answer: Mapping[str, Any], url: str) -> str:
    """The object's etag as listings and conditions have it. Raises NotS3 where there is none."""
    etag = str(answer.get("ETag", "")).removeprefix("W/")  # a proxy that compresses calls it weak
    if not etag:
        raise failures.not_s3(url)
    return etag


def etag_of_read(answer: Mapping[str, Any], key: str, url: str) -> str:
    """The etag of an object that is being read. Raises NotS3, and Unclear where the answer may have broken off within
    its headers, of which http.client says nothing."""
    etag, headers = etag_of(answer, url), _headers(answer)
    if not (DIGEST in _lower(answer.get("Metadata", {})) or headers.keys() & {"content-length", "transfer-encoding"}):
        raise failures.Unclear(f"store {url} did not answer for {key}: the answer broke off; look with: atb doctor")
    return etag


def etag_of_upload(answer: Mapping[str, Any], digest: str, key: str, url: str) -> str:
    """The etag of what was uploaded in parts. Raises Unclear where another object is there: the end of an upload may
    have been answered by something else."""
    if _lower(answer.get("Metadata", {})).get(DIGEST, digest) != digest:
        raise failures.not_kept(url, key)
    return etag_of(answer, url)


def validate_content(metadata: Mapping[str, str], digest: str, key: str, url: str) -> None:
    """Raises Altered where the content, whose digest this is, is not what was written."""
    if _lower(metadata).get(DIGEST, digest) != digest:
        raise failures.Altered(
            f"{key} in {url} is damaged: its content is not what was written (sha256); see: atb-launch store check"
        )


def validate_no_page(answer: Mapping[str, Any], url: str) -> None:
    """Raises NotS3 where a web page has answered a request whose answer has no content."""
    if "html" in str(_headers(answer).get("content-type", "")):
        raise failures.not_s3(url)


def validate_page(page: Mapping[str, Any], token: str | None, url: str) -> None:
    """Raises NotS3 where a page of a listing lacks what it must have, or the next one would be the same. ``token``: the
    one that it was requested with."""
    is_listing = "Name" in page or "IsTruncated" in page  # not a web page that happens to be XML
    goes_on = not page.get("IsTruncated") or page.get("NextContinuationToken") not in (None, token)
    if not (is_listing and goes_on and all(item.keys() >= _ENTRY for item in page.get("Contents", ()))):
        raise failures.not_s3(url)


def entries_of(page: Mapping[str, Any], cut: int) -> list[Entry]:
    """The objects of a valid page. ``cut``: how much of each key belongs to the store's own prefix."""
    return [
        Entry(each["Key"][cut:], each["Size"], each["ETag"], each["LastModified"]) for each in page.get("Contents", ())
    ]


def next_token(page: Mapping[str, Any]) -> str | None:
    """What the next page of a listing is requested with; None for the last one."""
    return page["NextContinuationToken"] if page.get("IsTruncated") else None


def is_key(name: str) -> bool:
    """Others' objects may have any name, with empty parts, or be what a console makes as a folder."""
    return bool(name) and not name.startswith("/") and not name.endswith("/") and "//" not in name


def _headers(answer: Mapping[str, Any]) -> Mapping[str, str]:
    found: Mapping[str, str] = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return found


def _lower(metadata: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in metadata.items()}
