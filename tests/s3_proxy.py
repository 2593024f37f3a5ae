"""What stands between us and a real S3 server, and misbehaves when told to: lost answers, cut bodies, outages."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit

_OWN_HEADERS = {"connection", "transfer-encoding", "content-length", "keep-alive"}


@dataclass
class Fault:
    """Befalls the next ``times`` requests of ``method`` whose path and query match ``pattern``.

    ``lost``: applied, and the connection drops before the answer. ``reset``: dropped before it is applied.
    ``status``: answered with ``status``, ``headers`` and ``body``, not applied. ``cut``: half of the body comes.
    ``altered``: one byte of the body is another. ``stall``: no answer for ``seconds``, then dropped.
    """

    kind: Literal["lost", "reset", "status", "cut", "altered", "stall"]
    method: str = ""
    pattern: str = ""
    times: int = 1
    status: int = 503
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 1.0

    def strikes(self, method: str, path: str) -> bool:
        """Whether it befalls this request; counts down."""
        if self.times <= 0 or self.method not in ("", method) or not re.search(self.pattern, path):
            return False
        self.times -= 1
        return True


class FaultProxy:
    """Passes requests on to ``upstream``. While ``away`` is set, every connection is dropped at once."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.faults: list[Fault] = []
        self.away = False
        self.draw: Callable[[str, str], Fault | None] = lambda method, path: None
        """Asked for a fault where none of ``faults`` befalls a request."""
        self.struck = 0
        """How many requests a fault befell."""
        self.seen: list[tuple[str, str]] = []
        """Method and path of each request, also of those that failed."""
        self._lock = threading.Lock()

        class Handler(_Handler):
            proxy = self

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def add(self, kind: Any, method: str = "", pattern: str = "", **fields: Any) -> None:
        """One more fault."""
        self.faults.append(Fault(kind, method, pattern, **fields))

    def choose(self, method: str, path: str) -> Fault | None:
        """The fault that befalls a request, if any."""
        with self._lock:
            self.seen.append((method, path))
            if self.away:
                return Fault("reset")
            listed = next((fault for fault in self.faults if fault.strikes(method, path)), None)
            found = listed or self.draw(method, path)
            self.struck += found is not None
            return found

    @contextlib.contextmanager
    def outage(self, seconds: float) -> Iterator[None]:
        """The server is away from now on, and comes back by itself after ``seconds``."""
        self.away = True
        timer = threading.Timer(seconds, self._return)
        timer.start()
        try:
            yield
        finally:
            timer.join()

    def _return(self) -> None:
        self.away = False

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FaultProxy

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._pass_on
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.proxy.choose(self.command, self.path)
        kind = fault.kind if fault else ""
        if fault and kind in ("reset", "stall"):
            time.sleep(fault.seconds if kind == "stall" else 0.0)
            self._drop()
            return
        if fault and kind == "status":
            self._answer(fault.status, fault.headers, fault.body, len(fault.body))
            return
        host = urlsplit(self.proxy.upstream)
        upstream = http.client.HTTPConnection(host.hostname or "", host.port, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
            upstream.request(self.command, self.path, body=body or None, headers=headers)
            answer = upstream.getresponse()
            data = answer.read()
        finally:
            upstream.close()
        if kind == "lost":
            self._drop()
            return
        size = len(data) if self.command != "HEAD" else int(answer.headers.get("Content-Length") or 0)
        if kind == "altered" and data:
            data = data[:-1] + bytes([data[-1] ^ 1])
        if kind == "cut":
            data = data[: len(data) // 2]
        self._answer(answer.status, dict(answer.headers.items()), data, size)
        if kind == "cut":
            self._drop()

    def _answer(self, status: int, headers: dict[str, str], body: bytes, size: int) -> None:
        with contextlib.suppress(OSError):
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in _OWN_HEADERS:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
            self.wfile.flush()

    def _drop(self) -> None:
        """A reset, not an orderly end."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()


def xml_error(code: str) -> bytes:
    """The body of an error as S3 has it."""
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>m</Message></Error>".encode()
