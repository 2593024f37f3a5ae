"""What a table's columns mean: one meaning each, or none."""

from __future__ import annotations

import re

from atb.contract.sources import plain_symbol
from atb.errors import DataError

TIME_NAMES = (
    "timestamp", "date", "open_time", "time", "datetime", "date_time", "open_date", "unix", "unix_time",
    "unix_timestamp", "open_timestamp",
)  # fmt: skip
"""Names of a column of opening times."""
INDEX_NAMES = ("", "index", "index_level_0", "level_0", "unnamed_0")
"""What pandas calls an index without a name; it holds the times where no column does."""
CLOSE_NAMES = ("close_time", "end_time", "close_date", "close_timestamp")
SYMBOL_NAMES = (
    "symbol", "pair", "ticker", "instrument", "market", "coin", "asset", "tic", "product_id", "inst_id", "code",
)  # fmt: skip
TIMEFRAME_NAMES = ("timeframe", "interval", "resolution", "granularity", "period", "frequency")
PART_NAMES = ("base", "quote", "base_asset", "quote_asset", "base_currency", "quote_currency")
"""What is a part of a symbol."""
SERIES_NAMES = (
    *PART_NAMES, "exchange", "venue", "market_type", "contract_type", "price_type", "token", "name", "currency",
    "currency_pair", "contract", "product", "side",
)  # fmt: skip
"""What tells the rows of one series from those of another, and can't be compared with what is asked for."""
FINISHED_NAMES = ("confirm", "confirmed", "is_closed", "is_final", "is_complete", "complete")
"""By which exchanges mark a bar that was over when it was written."""
_MOST_NAMES, _MOST_LETTERS = 16, 40


def plain_name(name: str) -> str:
    """``Open time``, ``openTime`` and ``<OPEN_TIME>`` as ``open_time``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip().strip("<>\ufeff"))
    return re.sub(r"[^\w]+", "_", words).strip("_").lower()


def show_names(names: list[str]) -> str:
    """The names for a message: escaped, and not more or longer ones than a line holds."""
    shown = [ascii(name[:_MOST_LETTERS])[1:-1] or "(no name)" for name in names[:_MOST_NAMES]]
    return ", ".join(shown) + (f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else "")


def find_column(names: list[str], wanted: str, where: str) -> int | None:
    """The one column of that meaning; None where there is none. Raises DataError for several."""
    found = [number for number, name in enumerate(names) if plain_name(name) == wanted]
    if len(found) > 1:
        raise DataError(
            f"{where}: columns {show_names([names[number] for number in found])} both mean {wanted}; keep one of them"
        )
    return found[0] if found else None


def find_volume(names: list[str], symbol: str, where: str) -> int | None:
    """The volume of what is traded: ``volume``, or ``Volume BTC`` for BTCUSDT. Raises DataError for several."""
    plain = find_column(names, "volume", where)
    if plain is not None:
        return plain
    base = [
        number
        for number, name in enumerate(names)
        if (match := re.fullmatch(r"volume_(\w+)|(\w+)_volume", plain_name(name)))
        and plain_symbol(symbol).startswith(plain_symbol(match[1] or match[2]))
    ]
    return base[0] if len(base) == 1 else None


def find_times(names: list[str]) -> list[int]:
    """The columns that may hold opening times, by their names; an index without a name only where no other does."""
    named = [number for number, name in enumerate(names) if plain_name(name) in TIME_NAMES]
    return named or [number for number, name in enumerate(names) if plain_name(name) in INDEX_NAMES]


def refuse_absent(names: list[str], absent: list[str], where: str) -> DataError:
    """The message for a table that lacks columns."""
    hint = "; rename the columns that hold them"
    volumes = [name for name in names if "volume" in plain_name(name)]
    if absent == ["volume"] and volumes:
        hint = f"; name the one that counts what is traded volume, if it is {show_names(volumes[:2])}"
    elif "timestamp" in absent and any(plain_name(name) in CLOSE_NAMES for name in names):
        hint = "; bars are named by the time they open, and there are only closing times"
    elif len(names) == 1:
        hint = "; separate columns by commas, semicolons or tabs"
    return DataError(f"{where}: no column {', '.join(absent)}; there are {show_names(names)}{hint}")
