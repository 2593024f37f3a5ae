"""The server. Times are the exchange's own: nothing later than ``now_ms`` is there."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from atb.contract import timeframe as tf
from tests.exchange.archive_files import MICROSECONDS_SINCE_MS, checksum_text, csv_text, kline_rows, zip_bytes
from tests.exchange.faults import Fault
from trainer.bars.frame import Bars

_FILE = re.compile(
    r"/data/(?P<market>spot|futures/um|futures/cm)/(?P<period>monthly|daily)/klines/(?P<symbol>\w+)/(?P<timeframe>\w+)/"
    r"(?P<name>(?P=symbol)-(?P=timeframe)-(?P<when>\d{4}-\d\d(?:-\d\d)?)\.zip)(?P<checksum>\.CHECKSUM)?"
)
_REST = {"/api/v3/klines": "spot", "/fapi/v1/klines": "um", "/dapi/v1/klines": "cm"}
_HANG_SECONDS = 3.0


class Exchange:
    """What the server serves; change it while it runs.

    ``bars`` by market and symbol. ``edit`` changes the rows of a file before it is written; ``absent`` files answer
    404; ``header`` puts one into spot files too. ``requests`` are all paths asked for, in order.
    """

    def __init__(self, bars: Mapping[tuple[str, str], Bars], now_ms: int) -> None:
        self.bars = dict(bars)
        self.now_ms = now_ms
        self.faults: list[Fault] = []
        self.absent: set[str] = set()
        self.edit: dict[str, Callable[[Bars], Bars]] = {}
        self.header = False
        self.requests: list[str] = []
        self.url = ""
        self.released = threading.Event()
        self._made: dict[object, bytes] = {}

    def clock(self) -> int:
        """For ``now_ms=`` of what is under test."""
        return self.now_ms

    def asked(self, pattern: str) -> int:
        """How many requests matched."""
        return sum(1 for path in self.requests if re.search(pattern, path))

    def answer(self, target: str) -> tuple[int, bytes]:
        """Status and body for a path and query."""
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        if path in _REST:
            return self._klines(_REST[path], {name: values[0] for name, values in query.items()})
        match = _FILE.fullmatch(path)
        data = self._file(match) if match else None
        if match is None or data is None:
            return 404, b"<Error><Code>NoSuchKey</Code></Error>"
        return 200, checksum_text(match["name"], data).encode() if match["checksum"] else data

    def _file(self, match: re.Match[str]) -> bytes | None:
        market = match["market"].removeprefix("futures/")
        bars = self.bars.get((market, match["symbol"]))
        if bars is None or bars.timeframe != match["timeframe"] or match["name"] in self.absent:
            return None
        start, stop = _span(match["when"])
        chosen = bars.take((bars.time >= start) & (bars.time < stop))
        if stop > self.now_ms or not len(chosen):
            return None
        edit = self.edit.get(match["name"])
        made = (match["name"], market, self.header, edit)
        if made not in self._made:
            text = csv_text(
                edit(chosen) if edit else chosen,
                header=self.header or market != "spot",
                microseconds=market == "spot" and start >= MICROSECONDS_SINCE_MS,
            )
            self._made[made] = zip_bytes(match["name"], text)
        return self._made[made]

    def _klines(self, market: str, query: Mapping[str, str]) -> tuple[int, bytes]:
        bars = self.bars.get((market, query["symbol"]))
        if bars is None:
            return 400, json.dumps({"code": -1121, "msg": "Invalid symbol."}).encode()
        start, end = int(query["startTime"]), int(query.get("endTime", 2**62))
        if market == "cm" and "endTime" in query and end - start > 200 * 86_400_000:
            return 400, json.dumps({"code": -4088, "msg": "Maximum time interval is 200 days."}).encode()
        if query["interval"] != bars.timeframe:
            return 400, json.dumps({"code": -1120, "msg": "Invalid interval."}).encode()
        inside = np.flatnonzero((bars.time >= start) & (bars.time <= end) & (bars.time <= self.now_ms))
        rows = bars.take(inside[: min(1000, int(query["limit"]))])
        return 200, json.dumps(kline_rows(rows)).encode()


@contextlib.contextmanager
def serve_exchange(bars: Mapping[tuple[str, str], Bars], now: datetime, port: int = 0) -> Iterator[Exchange]:
    """Serve on a loopback port; ``exchange.url`` is the base for both the archive and REST."""
    exchange = Exchange(bars, tf.epoch_ms(now))
    handler = type("Handler", (_Handler,), {"exchange": exchange})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    exchange.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield exchange
    finally:
        exchange.released.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    exchange: Exchange
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.exchange.requests.append(self.path)
        fault = next((fault for fault in self.exchange.faults if fault.strikes(self.path)), None)
        status, body = self.exchange.answer(self.path)
        if fault is not None and fault.kind == "status":
            self._send(fault.status, fault.body, fault.headers)
        elif fault is not None and fault.kind == "hang":
            self.exchange.released.wait(_HANG_SECONDS)
            self.close_connection = True
        elif fault is not None and fault.kind == "cut":
            self._send(status, body, {}, cut=True)
        elif fault is not None:
            middle = len(body) // 2
            self._send(status, body[:middle] + bytes([body[middle] ^ 0xFF]) + body[middle + 1 :], {})
        else:
            self._send(status, body, {})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str], *, cut: bool = False) -> None:
        self.send_response_only(status)
        self.send_header("Date", formatdate(self.exchange.now_ms / 1000, usegmt=True))
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = cut

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the tests read ``requests``."""


def _span(when: str) -> tuple[int, int]:
    year, month, *day = (int(part) for part in when.split("-"))
    start = datetime(year, month, day[0] if day else 1, tzinfo=UTC)
    if day:
        return tf.epoch_ms(start), tf.epoch_ms(start) + 86_400_000
    return tf.epoch_ms(start), tf.epoch_ms(datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC))
