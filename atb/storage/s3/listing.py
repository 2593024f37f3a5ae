"""Long listings of a bucket, in several ranges at a time: a page of a thousand keys takes a server a tenth of a second,
and a run of 5,000 jobs has ninety of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from atb.storage.store import Entry

RANGES = 8
"""More read more pages past their ends than they save: the two of a server on this machine's cores gain no more."""

Page = tuple[list[Entry], str | None]
"""Entries in key order, and the token of the next page."""
ReadPage = Callable[[str, str | None], Page]
"""Reads the page of a token; without one, the first page after a key."""
Range = tuple[str, str | None, str | None]
"""After which key or, if not None, with which token it begins; before which key it ends."""


def entries_of(page: Mapping[str, Any], below: int, folder: str, cut: int) -> Page:
    """A page of boto3's, without objects in folders of that name behind the first ``below`` characters of their keys,
    of which ``cut`` are left out."""
    return [
        Entry(item["Key"][cut:], item["Size"], item["ETag"], item["LastModified"])
        for item in page.get("Contents", [])
        if not folder or f"/{folder}/" not in f"/{item['Key'][below:]}"
    ], page["NextContinuationToken"] if page.get("IsTruncated") else None


def follow_pages(list_objects: Callable[[dict[str, str]], Any], options: dict[str, str]) -> Iterator[Mapping[str, Any]]:
    """Every page of boto3's that a request has."""
    page = list_objects(options)
    yield page
    while page.get("IsTruncated"):
        page = list_objects({**options, "ContinuationToken": page["NextContinuationToken"]})
        yield page


def read_range(read_page: ReadPage, bounds: Range) -> Iterator[Entry]:
    """The entries of a range, also from a server that begins elsewhere."""
    after, token, before = bounds
    while True:
        entries, token = read_page(after, token)
        for entry in entries:
            if before is not None and entry.key >= before:
                return
            if entry.key > after:
                yield entry
        if token is None:
            return


def divide(first: Page, folders: list[str]) -> list[Range]:
    """What is left after the first page, in ranges that begin at some of the folders, which are keys that end with a
    slash."""
    entries, token = first
    seen = entries[-1].key if entries else ""
    left = sorted(folder for folder in folders if folder > seen)
    marks = left[:: -(-len(left) // RANGES)] if left else []
    ends = [*marks, None]
    return [("", token, ends[0]), *((mark, None, end) for mark, end in zip(marks, ends[1:], strict=True))]
