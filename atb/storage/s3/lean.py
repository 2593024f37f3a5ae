"""The two requests that large runs make by the thousand, a read and a page of a listing, without botocore's layers.

It knows only two answers, an object or a page, and that there is no such object. Whatever else comes, a failure of any
kind, is answered by None, and the caller asks again through botocore, which has all the rest. What both take is
measured by ``benchmarks/books.py --s3``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, BinaryIO
from urllib.parse import quote, unquote
from xml.etree import ElementTree

from atb.errors import NotFound
from atb.storage.s3.sign import Signer
from atb.storage.store import Entry

_LARGEST_PAGE = 8 << 20
_READ_SECONDS = 60.0
_LONGEST_LINE = 1 << 16
_MOST_HEADERS = 200
_META = "x-amz-meta-"


@dataclass(frozen=True)
class Answer:
    """An answer with status 200. The names of ``headers`` are in lower case."""

    data: bytes
    headers: dict[str, str]

    @property
    def etag(self) -> str:
        """The object's."""
        return self.headers["etag"]

    @property
    def metadata(self) -> dict[str, str]:
        """The object's own."""
        return {name.removeprefix(_META): value for name, value in self.headers.items() if name.startswith(_META)}


class LeanReader:
    """Reads from one bucket of an S3-compatible server, whose address names the bucket in its path."""

    def __init__(self, session: Any, client: Any, bucket: str) -> None:
        self._session, self._client = session, client
        self._address = client.meta.endpoint_url.rstrip("/")
        self._bucket = quote(bucket)
        self._opened: tuple[Any, Signer] | None = None
        """The pool of connections and what signs for it, from the first request on."""
        self._usable = True

    def get(self, key: str) -> Answer | None:
        """An object; None where the answer is not simply that. Raises NotFound where the server says it is absent."""
        answer = self._send(f"/{quote(key, safe='/~')}", "", key)
        return answer if answer is not None and "etag" in answer.headers else None

    def list_page(self, prefix: str, token: str | None, without: str = "") -> tuple[list[Entry], str | None] | None:
        """A page of names with the whole keys, and the token of the next page; None where the answer is not that.
        ``without``: the name of folders below the prefix whose objects are left out."""
        query = {"encoding-type": "url", "list-type": "2", "prefix": prefix}
        if token is not None:
            query = {"continuation-token": token, **query}
        answer = self._send("", "&".join(f"{name}={quote(value, safe='~')}" for name, value in query.items()))
        if answer is None or len(answer.data) > _LARGEST_PAGE:
            return None
        try:
            return _read_page(answer.data, len(prefix), f"/{without}/" if without else "")
        except (ElementTree.ParseError, ValueError, KeyError, TypeError):
            return None

    def _send(self, place: str, query: str, key: str | None = None) -> Answer | None:
        """``key``: the object asked for, where it may be absent."""
        if not self._usable:
            return None
        try:
            opened = self._opened = self._opened or self._open()
            if opened is None:
                self._usable = False
                return None
            pool, signer = opened
            status, answer = _exchange(pool, signer.sign(f"/{self._bucket}{place}", query))
        except Exception:  # botocore asks the same once more, and explains what it meets
            return None
        if status in (HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN):
            self._usable = False  # another address or signature is wanted
        if status == HTTPStatus.NOT_FOUND and key is not None and b"<Code>NoSuchKey</Code>" in answer.data:
            raise NotFound(key)
        return answer if status == HTTPStatus.OK else None

    def _open(self) -> tuple[Any, Signer] | None:
        """None where a proxy is between, or there are no credentials. Raises whatever goes wrong."""
        pool = _open_pool(self._client._endpoint.http_session, self._address)
        credentials = self._session.get_credentials()
        if pool is None or credentials is None:
            return None
        return pool, Signer(self._address, self._client.meta.region_name, credentials)


def _open_pool(http_session: Any, address: str) -> Any:
    """The client's pool of connections to the address, with its certificates; None where a proxy is between."""
    if http_session._proxy_config.proxy_url_for(address):
        return None
    pool = http_session._get_connection_manager(address).connection_from_url(address)
    http_session._setup_ssl_cert(pool, address, http_session._verify)
    return pool


def _exchange(pool: Any, request: bytes) -> tuple[int, Answer]:
    """Send a request on a connection of the pool, and read all of the answer. Raises whatever goes wrong."""
    connection: Any = pool._get_conn()
    try:
        socket = connection.sock
        if socket is None:
            connection.timeout = pool.timeout.connect_timeout
            connection.connect()
            socket = connection.sock
            socket.settimeout(_READ_SECONDS)
        socket.sendall(request)
        with socket.makefile("rb") as file:
            status, answer = _read_answer(file)
        if answer.headers.get("connection", "").lower() == "close":
            connection.close()
    except BaseException:
        connection.close()
        raise
    finally:
        pool._put_conn(connection)
    return status, answer


def _read_answer(file: BinaryIO) -> tuple[int, Answer]:
    """What a server answered to a GET. Raises ValueError where it is cut, or not as RFC 9112 has it."""
    version, status, *_ = _read_line(file).split(" ", 2)
    if version != "HTTP/1.1":
        raise ValueError("of another version")
    headers: dict[str, str] = {}
    while line := _read_line(file):
        name, _, value = line.partition(":")
        if len(headers) > _MOST_HEADERS:
            raise ValueError("too many headers")
        headers[name.lower()] = value.strip()
    if "transfer-encoding" not in headers:
        data = _read_exactly(file, int(headers["content-length"]))
    elif headers["transfer-encoding"].lower() == "chunked":
        data = b"".join(_read_chunks(file))
    else:
        raise ValueError("encoded in another way")
    return int(status), Answer(data, headers)


def _read_chunks(file: BinaryIO) -> Iterator[bytes]:
    while size := int(_read_line(file).partition(";")[0], 16):
        yield _read_exactly(file, size)
        if _read_line(file):
            raise ValueError("a chunk is longer than it says")
    while _read_line(file):
        continue  # fields after the last chunk


def _read_line(file: BinaryIO) -> str:
    line = file.readline(_LONGEST_LINE)
    if not line.endswith(b"\r\n"):
        raise ValueError("cut, or too long")
    return line[:-2].decode("latin-1")


def _read_exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(max(0, size))
    if len(data) != size:
        raise ValueError("cut")
    return data


def _read_page(data: bytes, start: int = 0, skipped: str = "") -> tuple[list[Entry], str | None] | None:
    """``skipped``: what a key that is left out holds behind its first ``start`` characters."""
    root = ElementTree.fromstring(data)  # noqa: S314 - of the store that the user named, and bounded
    space = root.tag.rpartition("}")[0] + "}" if root.tag.startswith("{") else ""
    if root.tag != f"{space}ListBucketResult" or root.find(f"{space}IsTruncated") is None:
        return None
    entries = []
    for item in root.iter(f"{space}Contents"):
        key = unquote(item.findtext(f"{space}Key", ""))
        if skipped and skipped in f"/{key[start:]}":
            continue
        size, etag = item.findtext(f"{space}Size", ""), item.findtext(f"{space}ETag", "")
        modified = datetime.fromisoformat(item.findtext(f"{space}LastModified", ""))
        if not (key and etag):
            return None
        entries.append(Entry(key, int(size), etag, modified))
    truncated = root.findtext(f"{space}IsTruncated") == "true"
    token = root.findtext(f"{space}NextContinuationToken")
    if truncated and not token:
        return None
    return entries, token if truncated else None
