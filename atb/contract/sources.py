"""How a source of bars is named: ``binance``, ``ccxt:EXCHANGE``, ``files:PATH`` or ``sample``."""

from __future__ import annotations

from atb.errors import SpecError

_NEEDS_MORE = {"binance": False, "ccxt": True, "files": True, "sample": False}


def split_source(text: str) -> tuple[str, str]:
    """The kind of a source and what follows its colon. Raises SpecError."""
    kind, colon, rest = text.partition(":")
    if kind not in _NEEDS_MORE or bool(rest) != _NEEDS_MORE[kind] or (colon and not rest):
        raise SpecError(f"source {text!r} is unknown; write binance, ccxt:EXCHANGE, files:PATH or sample")
    return kind, rest
