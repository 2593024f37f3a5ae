"""A loopback exchange: Binance's archive and REST paths over given bars, with every fault that was ever seen there."""

from tests.exchange.faults import Fault
from tests.exchange.server import Exchange, serve_exchange

__all__ = ["Exchange", "Fault", "serve_exchange"]
