"""The one seam to where bars come from."""

from __future__ import annotations

from typing import Protocol

from atb.contract.sources import check_source, is_own_source, split_source
from atb.plugins import SOURCES, require_plugin
from atb.storage import Store
from trainer.bars.frame import Bars


class Source(Protocol):
    """Gives raw rows, which ``trainer.bars.check`` validates."""

    @property
    def name(self) -> str:
        """As the user wrote it; part of the bar cache's key."""

    @property
    def synthetic(self) -> bool:
        """Whether the bars are made up."""

    @property
    def live(self) -> bool:
        """Whether bars that are not there yet will come by themselves."""

    def fetch(self, symbol: str, timeframe: str, market: str, start_ms: int, end_ms: int) -> Bars:
        """Rows with ``start_ms <= open time < end_ms``, as they are at the source.

        Raises DataError where the symbol is not there for good, DataNotReady where it will be, NetworkError.
        """


def open_source(text: str, store: Store) -> Source:
    """The source named ``sample``, ``files:PATH``, ``binance`` or ``ccxt:EXCHANGE``, or a plug-in's. Raises SpecError.

    A plug-in's entry point in ``atb.sources`` is a function ``(rest, store) -> Source``.
    """
    check_source(text)
    kind, rest = split_source(text)
    if is_own_source(text):
        found: Source = require_plugin(SOURCES, kind).load()(rest, store)
        return found
    if kind == "sample":
        from trainer.bars.sample import SampleSource

        return SampleSource()
    if kind == "files":
        from trainer.bars.files import FilesSource

        return FilesSource(rest, store)
    from trainer.bars.cache.cached import CachedSource

    if kind == "binance":
        from trainer.bars.exchange.binance import BinanceMonths

        return CachedSource(BinanceMonths(), store)
    from trainer.bars.exchange.ccxt_source import open_exchange

    return CachedSource(open_exchange(rest), store)
