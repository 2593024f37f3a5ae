"""A store's location from its URL: a bucket and a prefix, or a directory; ambiguous ones are refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from atb.errors import SpecError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_WAYS = "write s3://bucket/prefix, or the path of a directory"


@dataclass(frozen=True)
class Bucket:
    """A bucket and its key prefix: empty, or parts that each end with a slash."""

    name: str
    prefix: str


def locate_store(url: str) -> Bucket | Path:
    """The bucket of ``s3://bucket/prefix``, or the directory of a path or ``file:///path``. Raises SpecError."""
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise SpecError(
            "the store's address holds a user or a password; write s3://bucket/prefix, and set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY"
        )
    if not url.strip() or any(not character.isprintable() for character in url):
        raise SpecError(f"store {url!a} is not valid; {_WAYS}")
    scheme = _SCHEME.match(url)
    if scheme is None:
        if url.startswith("//"):
            raise SpecError(f"store {url!r} begins with two slashes; {_WAYS}")
        return _directory(url, url)
    rest = url[scheme.end() :]
    if scheme[1] == "s3" and rest.startswith("//"):
        return _bucket(url, rest[2:])
    if scheme[1] == "file" and rest.startswith("//"):
        host, slash, _ = rest[2:].partition("/")
        if host not in ("", "localhost") or not slash:
            raise SpecError(f"store {url!r} names the machine {host!r}; write file:///path, or the path alone")
        return _directory(unquote(rest[2 + len(host) :]), url)
    if scheme[1].lower() in ("s3", "file"):
        raise SpecError(f"store {url!r} is not {scheme[1].lower()}:// and a place; {_WAYS}")
    raise SpecError(f"store {url!r} is neither a directory nor s3://bucket/prefix; for a directory write ./{url}")


def _bucket(url: str, rest: str) -> Bucket:
    name, _, prefix = rest.partition("/")
    if not name:
        raise SpecError(f"store {url!r} names no bucket; write s3://bucket/prefix")
    if ":" in name:
        raise SpecError(f"store {url!r} names a server; write s3://bucket/prefix, and the server as --endpoint-url")
    if not _BUCKET.fullmatch(name):
        raise SpecError(f"store {url!r}: {name!r} is not a bucket's name; write s3://bucket/prefix")
    parts = prefix.removesuffix("/").split("/") if prefix.removesuffix("/") else []
    if prefix == "/" or any(part in ("", ".", "..") for part in parts):
        raise SpecError(f"store {url!r} has an empty part, . or .. in its prefix; write s3://{name}/prefix")
    if odd := next((part for part in parts if re.search(r"[?#\\\s]", part)), None):
        raise SpecError(f"store {url!r}: {odd!r} can't be part of a prefix; write letters, digits and . _ - alone")
    return Bucket(name, "".join(f"{part}/" for part in parts))


def _directory(path: str, url: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise SpecError(f"store {url!r} is not a directory: {error}; write its path in full") from None
