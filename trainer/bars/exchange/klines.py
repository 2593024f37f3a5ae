"""Binance's REST API for bars: 1000 rows a call, the unclosed bar among them."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from atb.contract import timeframe as tf
from atb.errors import DataError, NetworkError
from atb.redaction import redact
from atb.schema import printable
from trainer.bars.cache.months import DAY_MS
from trainer.bars.exchange.http import Http
from trainer.bars.frame import Bars, empty_bars, join_bars
from trainer.bars.rows import ARCHIVE_COLUMNS, bars_from_rows

ROWS_A_CALL = 1000
_LONGEST_SPAN_MS = 200 * DAY_MS
"""The coin-margined API refuses longer ones."""
_PATHS = {"spot": "/api/v3/klines", "um": "/fapi/v1/klines", "cm": "/dapi/v1/klines"}
_HOSTS = {"spot": "https://api.binance.com", "um": "https://fapi.binance.com", "cm": "https://dapi.binance.com"}
_ILLEGAL_CHARACTERS = -1100
_NOT_LISTED = (-1121, -1122, -4108)
"""Unknown, closed for trading, or delivered."""


class Klines:
    """The API; ``base_url`` replaces the exchange's own hosts for every market."""

    def __init__(self, base_url: str | None, http: Http) -> None:
        self._base_url = base_url
        self._http = http

    def fetch(self, market: str, symbol: str, timeframe: str, start_ms: int, end_ms: int) -> Bars:
        """Rows with ``start_ms <= open time < end_ms``; none for a symbol that is unknown or not listed any more.

        The bar that is not closed yet by the exchange's own clock is left out, whatever ours says.
        """
        step, pages = tf.to_ms(timeframe), [empty_bars(symbol, timeframe)]
        while start_ms < end_ms:
            page_end = min(end_ms, start_ms + min(ROWS_A_CALL * step, _LONGEST_SPAN_MS))
            rows, host_ms = self._ask(
                market, symbol, timeframe, startTime=start_ms, endTime=page_end - 1, limit=ROWS_A_CALL
            )
            try:
                page = bars_from_rows(rows, ARCHIVE_COLUMNS, symbol, timeframe, f"{symbol} {timeframe} by REST")
                inside = _find_inside(page, start_ms, page_end)
            except DataError as error:  # what is no bars says nothing of the bars
                raise NetworkError(f"{error}; look at ATB_BINANCE_REST_URL and the proxy") from None
            closed = page.time + step <= (end_ms if host_ms is None else host_ms)
            pages.append(page.take(inside & closed))
            start_ms = int(page.time[-1]) + 1 if len(page) >= ROWS_A_CALL else page_end
        return join_bars(pages)

    def listed_ms(self, market: str, symbol: str, timeframe: str) -> int | None:
        """When the first bar ever opened; None for an unknown symbol."""
        rows, _ = self._ask(market, symbol, timeframe, startTime=0, limit=1)
        try:
            return int(rows[0][0]) if rows else None
        except (ValueError, TypeError, IndexError, KeyError):
            return None

    def _ask(self, market: str, symbol: str, timeframe: str, **params: int) -> tuple[list[list[Any]], int | None]:
        url = f"{(self._base_url or _HOSTS[market]).rstrip('/')}{_PATHS[market]}"
        host = urlsplit(url).netloc.rpartition("@")[2]
        answer = self._http.get(url, {"symbol": symbol, "interval": timeframe, **params})
        try:
            said = json.loads(answer.body)
        except (ValueError, RecursionError):
            said = None
        if answer.status == 200 and isinstance(said, list):
            return said, answer.host_ms
        if isinstance(said, dict) and said.get("code") in _NOT_LISTED:
            return [], answer.host_ms
        if isinstance(said, dict) and answer.status == 400:
            text = printable(redact(str(said.get("msg"))))
            wrong = said.get("code") == _ILLEGAL_CHARACTERS
            raise DataError(
                f"{host} refuses {symbol} {timeframe}: {text}"
                + ("; symbols are written like BTCUSDT there" if wrong else "; check the symbol and --market")
            )
        raise NetworkError(
            f"{host} answered {answer.status} to {_PATHS[market]} with something other than bars; if that is not "
            "Binance's API, look at ATB_BINANCE_REST_URL and the proxy"
        )


def _find_inside(page: Bars, start_ms: int, end_ms: int) -> npt.NDArray[np.bool_]:
    """The rows of an answer that were asked for. Raises DataError for a bar that lies outside, and for rows in no
    order, as of a server that ignores the times in a request: what it lacks would be taken for an outage."""
    inside: npt.NDArray[np.bool_] = (page.time >= start_ms) & (page.time < end_ms)
    steps = np.diff(page.time)
    differing = (steps == 0) & (page.values[1:] != page.values[:-1]).any(axis=1)
    outside = (page.time + page.step_ms <= start_ms) | (page.time >= end_ms)  # a bar may have begun before the start
    if (steps < 0).any() or differing.any() or outside.any():
        raise DataError(
            f"{page.symbol} {page.timeframe} by REST: other bars than asked for, in no order, or two for one time"
        )
    return inside
