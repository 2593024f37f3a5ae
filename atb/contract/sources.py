"""How a source of bars is named, ``binance``, ``ccxt:EXCHANGE``, ``files:PATH`` or ``sample``, and a symbol in it."""

from __future__ import annotations

import unicodedata

from atb.errors import SpecError
from atb.plugins import SOURCES, find_entry, is_entry_name

_NEEDS_MORE = {"binance": False, "ccxt": True, "files": True, "sample": False}
MOST_CHARACTERS = 63
_MARKS = "/:._-"


def split_source(text: str) -> tuple[str, str]:
    """The kind of a source and what follows its colon. Raises SpecError.

    A kind that is not ours is an entry point of ``atb.sources``, which may take something after a colon. It need not be
    installed here: the documents of a run are read on other machines too.
    """
    kind, colon, rest = text.partition(":")
    needs_more = _NEEDS_MORE.get(kind, bool(rest))
    if not is_entry_name(kind) or bool(rest) != needs_more or (colon and not rest):
        raise _unknown(text)
    return kind, rest


def check_source(text: str) -> None:
    """Raise SpecError for a source that is neither ours nor a plug-in installed here."""
    kind, _ = split_source(text)
    if is_own_source(text) and not find_entry(SOURCES, kind):
        raise _unknown(text)


def _unknown(text: str) -> SpecError:
    return SpecError(f"source {text!r} is unknown; write binance, ccxt:EXCHANGE, files:PATH or sample")


def is_own_source(text: str) -> bool:
    """Whether a source is a plug-in's."""
    return text.partition(":")[0] not in _NEEDS_MORE


def normal_symbol(text: str) -> str:
    """The symbol in Unicode's composed form, in which two texts that look the same are the same.

    Letters and digits of any alphabet and ``/ : . _ -``, a letter or digit first, up to 63. Raises ValueError.
    """
    symbol = unicodedata.normalize("NFC", text)
    plain = all(_is_letter(character) or character in _MARKS for character in symbol)
    if not plain or not symbol or not symbol[0].isalnum() or len(symbol) > MOST_CHARACTERS:
        raise ValueError(
            f"{text[:80]!a} is not a symbol: letters, digits and / : . _ - up to {MOST_CHARACTERS}, like BTCUSDT"
        )
    return symbol


def plain_symbol(symbol: str) -> str:
    """What ``BTC/USDT``, ``BTCUSDT``, ``btcusdt`` and ``BTC-USDT`` have in common: letters and digits in capitals."""
    composed = unicodedata.normalize("NFC", symbol).upper()
    return "".join(character for character in unicodedata.normalize("NFC", composed) if _is_letter(character))


def canonical_symbol(symbol: str, source: str, market: str) -> str:
    """The one spelling of a symbol that its source answers to in several: models, runs and bars are kept under it.

    Files answer to all spellings of ``plain_symbol``; an exchange of ccxt to ``BTC/USDT`` (``BTC/USDT:USDT`` for
    futures) and to ``BTCUSDT``. Other sources have one spelling, or are strict about theirs.
    """
    kind = source.partition(":")[0]
    if kind == "files":
        return plain_symbol(symbol)
    base, slash, quote = symbol.partition("/")
    if kind != "ccxt" or not slash:
        return symbol
    quote, colon, settled = quote.partition(":")
    own = not colon if market == "spot" else settled == quote
    return f"{base}{quote}" if own and base.isalnum() and quote.isalnum() else symbol


def _is_letter(character: str) -> bool:
    """A letter, a digit, or a mark that belongs to the letter before it."""
    return character.isalnum() or unicodedata.category(character).startswith("M")


def validate_symbol(symbol: str, source: str, market: str) -> None:
    """Raise SpecError for a symbol that its source can't have, with the spelling that it may have.

    Files answer to a symbol in any spelling; only capitals are taken, or one file would have a model for each.
    """
    if source.startswith("files:") and symbol != symbol.upper():
        raise SpecError(f"{symbol}: a symbol of files is written in capitals; write {symbol.upper()}")
    if source != "binance":
        return
    separators = _MARKS if market == "spot" else _MARKS.replace("_", "")
    if symbol == symbol.upper() and not any(mark in symbol for mark in separators):
        return
    spelt = "".join(character for character in symbol.partition(":")[0].upper() if character not in separators)
    raise SpecError(f"binance has no symbol {symbol}: it writes capitals without separators; write {spelt}")
