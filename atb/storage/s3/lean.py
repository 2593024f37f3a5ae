"""The two requests that large runs make by the thousand, a read and a page of a listing, without botocore's layers.

It knows only two answers, an object or a page, and that there is no such object. Whatever else comes, a failure of any
kind, is answered by None, and the caller asks again through botocore, which has all the rest. What both take is
measured by ``benchmarks/books.py --s3``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, unquote_plus
from xml.etree import ElementTree

from atb.errors import NotFound
from atb.storage.s3.sign import Signer
from atb.storage.store import LARGEST, Entry

Page = tuple[list[Entry], str | None]
"""Entries in key order, and the token of the next page."""

_LARGEST_PAGE = 8 << 20
_LONGEST_HEAD = 1 << 15
_PIECE = 1 << 16
_META = "x-amz-meta-"


@dataclass(frozen=True)
class Answer:
    """An answer with status 200. The names of ``headers`` are in lower case."""

    data: bytes
    headers: dict[str, str]

    @property
    def etag(self) -> str:
        """The object's."""
        return self.headers["etag"].removeprefix("W/")

    @property
    def metadata(self) -> dict[str, str]:
        """The object's own."""
        return {name.removeprefix(_META): value for name, value in self.headers.items() if name.startswith(_META)}


class LeanReader:
    """Reads from one bucket of an S3-compatible server, whose address names the bucket in its path."""

    def __init__(self, session: Any, client: Any, bucket: str, silence: float) -> None:
        """``silence``: seconds between two bytes at most."""
        self._session, self._client, self._silence = session, client, silence
        self._address = client.meta.endpoint_url.rstrip("/")
        self._bucket = quote(bucket)
        self._opened: tuple[Any, Signer] | None = None
        """The pool of connections and what signs for it, from the first request on."""
        self._usable = True

    def get(self, key: str) -> Answer | None:
        """An object; None where the answer is not simply that. Raises NotFound where the server says it is absent,
        and TimeoutError."""
        answer = self._send(f"/{quote(key, safe='/~')}", "", key)
        return answer if answer is not None and answer.headers.get("etag") else None

    def list_page(self, prefix: str, token: str | None, cut: int = 0) -> Page | None:
        """A page of entries; None where the answer is not that. ``cut``: how much of each key to leave out. Raises
        TimeoutError."""
        query = {"encoding-type": "url", "list-type": "2", "prefix": prefix}
        if token is not None:
            query = {"continuation-token": token, **query}
        answer = self._send("", "&".join(f"{name}={quote(value, safe='~')}" for name, value in query.items()))
        if answer is None or len(answer.data) > _LARGEST_PAGE:
            return None
        try:
            page = _read_page(answer.data, cut)
        except (ElementTree.ParseError, ValueError, KeyError, TypeError):
            return None
        return page if page is None or page[1] is None or page[1] != token else None

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
            status, answer = _exchange(pool, signer.sign(f"/{self._bucket}{place}", query), self._silence)
        except TimeoutError:
            raise  # to ask at once again would take as long again
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


def _exchange(pool: Any, request: bytes, silence: float) -> tuple[int, Answer]:
    """Send a request on a connection of the pool, and read all of the answer. Raises TimeoutError where the server is
    silent for too long, and whatever else goes wrong."""
    connection: Any = pool._get_conn()
    try:
        socket = connection.sock
        if socket is None:
            connection.timeout = pool.timeout.connect_timeout
            connection.connect()
            socket = connection.sock
            socket.settimeout(silence)
        socket.sendall(request)
        status, answer = _read_answer(socket.recv)
        if answer.headers.get("connection", "").lower() == "close":
            connection.close()
    except BaseException:
        connection.close()
        raise
    finally:
        pool._put_conn(connection)
    return status, answer


def _read_answer(receive: Callable[[int], bytes]) -> tuple[int, Answer]:
    """What a server answered to a GET. Raises ValueError where it is cut, or not as RFC 9112 has it.

    ``receive``: as a socket's ``recv``. A small object and its headers mostly come in one piece.
    """
    received = _Received(receive)
    first, *lines = received.until(b"\r\n\r\n", _LONGEST_HEAD).decode("latin-1").split("\r\n")
    version, status, *_ = first.split(" ", 2)
    if version != "HTTP/1.1":
        raise ValueError("of another version")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if "transfer-encoding" not in headers and int(headers["content-length"]) > LARGEST:
        raise ValueError("too large to be read into memory")
    if "transfer-encoding" not in headers:
        data = received.exactly(int(headers["content-length"]))
    elif headers["transfer-encoding"].lower() == "chunked":
        data = b"".join(_read_chunks(received))
    else:
        raise ValueError("encoded in another way")
    if received.rest:
        raise ValueError("longer than it says")
    return int(status), Answer(data, headers)


def _read_chunks(received: _Received) -> Iterator[bytes]:
    while size := int(received.until(b"\r\n", _LONGEST_HEAD).partition(b";")[0], 16):
        yield received.exactly(size)
        if received.exactly(2) != b"\r\n":
            raise ValueError("a chunk is longer than it says")
    while received.until(b"\r\n", _LONGEST_HEAD):
        continue  # fields after the last chunk


class _Received:
    """What has come of an answer, piece by piece. Raises ValueError where it ends too early."""

    def __init__(self, receive: Callable[[int], bytes]) -> None:
        self._receive = receive
        self.rest = b""
        """What has come and has not been taken."""

    def until(self, mark: bytes, most: int) -> bytes:
        """All before the mark, which is taken too."""
        while (end := self.rest.find(mark)) < 0:
            if len(self.rest) > most:
                raise ValueError("too long")
            self.rest += self._more()
        found, self.rest = self.rest[:end], self.rest[end + len(mark) :]
        return found

    def exactly(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        if size < 0:
            raise ValueError("a size below nothing")
        pieces, missing = [self.rest], size - len(self.rest)
        while missing > 0:
            pieces.append(self._more())
            missing -= len(pieces[-1])
        whole = b"".join(pieces)
        self.rest = whole[size:]
        return whole[:size] if self.rest else whole

    def _more(self) -> bytes:
        data = self._receive(_PIECE)
        if not data:
            raise ValueError("cut")
        return data


def _read_page(data: bytes, cut: int = 0) -> Page | None:
    """``cut``: how many of each key's characters belong to the store's own prefix."""
    root = ElementTree.fromstring(data)  # noqa: S314 - of the store that the user named, and bounded
    space = root.tag.rpartition("}")[0] + "}" if root.tag.startswith("{") else ""
    if root.tag != f"{space}ListBucketResult" or root.find(f"{space}IsTruncated") is None:
        return None
    entries = []
    encoded = root.findtext(f"{space}EncodingType") == "url"  # as forms are: a blank is a plus
    decode: Callable[[str], str] = unquote_plus if encoded else str
    names = [f"{space}{name}" for name in ("Key", "Size", "ETag", "LastModified")]
    for item in root.iter(f"{space}Contents"):
        key = decode(item.findtext(names[0], ""))
        size, etag, modified = (item.findtext(name, "") for name in names[1:])
        if not (key and etag):
            return None
        entries.append(Entry(key[cut:], int(size), etag, datetime.fromisoformat(modified)))
    truncated = root.findtext(f"{space}IsTruncated") == "true"
    token = root.findtext(f"{space}NextContinuationToken")
    if truncated and not token:
        return None
    return entries, token if truncated else None
