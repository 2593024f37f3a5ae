"""Binance's public archive: monthly and daily zips of 12-column CSV, each with its sha256 beside it."""

from __future__ import annotations

import hashlib
import logging
import re
from urllib.parse import quote

from atb.errors import DataError
from trainer.bars.bounds import unzip
from trainer.bars.cache.months import Month, day_name
from trainer.bars.exchange.http import Http
from trainer.bars.files.delimited import read_csv
from trainer.bars.files.table import bars_from_table
from trainer.bars.frame import Bars

log = logging.getLogger(__name__)

_FOLDERS = {"spot": "spot", "um": "futures/um", "cm": "futures/cm"}
_SHA256 = re.compile(rb"\s*([0-9a-fA-F]{64})\b")
MOST_BYTES = 64 << 20
"""Of an unpacked file: a month of minute bars has 6 MiB. Several files are read at a time."""
_TRIES = 2
"""A file that does not match its checksum is fetched once more: one of the two may just have been replaced."""


class Archive:
    """The archive below a base URL."""

    def __init__(self, base_url: str, http: Http) -> None:
        self._base_url = base_url.rstrip("/")
        self._http = http

    def month_url(self, market: str, symbol: str, timeframe: str, month: Month) -> str:
        """The URL of a month's zip."""
        return self._url("monthly", market, symbol, timeframe, month.name)

    def day_url(self, market: str, symbol: str, timeframe: str, day_ms: int) -> str:
        """The URL of a day's zip."""
        return self._url("daily", market, symbol, timeframe, day_name(day_ms))

    def checksum(self, url: str) -> str | None:
        """The sha256 that the archive publishes for a file; None if there is no such file or checksum."""
        answer = self._http.get(f"{url}.CHECKSUM")
        match = _SHA256.match(answer.body)
        if answer.status == 200 and match is not None:
            return match[1].decode().lower()
        if answer.status != 404:
            log.warning("%s.CHECKSUM does not begin with a sha256 (status %d); looking elsewhere", url, answer.status)
        return None

    def download(self, url: str, checksum: str, symbol: str, timeframe: str) -> Bars | None:
        """The rows of a file; None, with a line in the log, if it is absent or broken at the source."""
        problem = ""
        for _ in range(_TRIES):
            answer = self._http.get(url)
            if answer.status != 200:
                problem = f"status {answer.status}"
                continue
            if hashlib.sha256(answer.body).hexdigest() != checksum:
                problem = "its sha256 differs from the published one"
                continue
            try:
                return bars_from_table(read_csv(unzip(answer.body, url, MOST_BYTES), url), symbol, timeframe, url)
            except DataError as error:
                problem = str(error)
        log.warning("%s can't be used (%s); looking elsewhere", url, problem)
        return None

    def _url(self, period: str, market: str, symbol: str, timeframe: str, when: str) -> str:
        return (
            f"{self._base_url}/data/{_FOLDERS[market]}/{period}/klines/{quote(symbol)}/{timeframe}/"
            f"{quote(symbol)}-{timeframe}-{when}.zip"
        )
