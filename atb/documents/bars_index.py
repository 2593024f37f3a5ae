"""What is known of the bar cache without reading it: one small document beside the months of a symbol."""

from __future__ import annotations

from typing import ClassVar

from atb.schema import Document, Part


class IndexedMonth(Part):
    """One cached month. ``digest`` is over its rows; ``checked_ms``: when it was last checked at the source.

    ``cuts`` has the digest of the rows before each instant in it, in milliseconds, that bars were cut at: a month that
    has grown since is still the same for who cut it earlier.
    """

    digest: str
    rows: int
    covers_until_ms: int
    checked_ms: int
    cuts: dict[str, str] = {}


class BarsIndex(Document):
    """The months of one symbol by ``YYYY-MM``. A hint: a month that is not in it is only looked at again."""

    kind: ClassVar[str] = "bars-index"

    months: dict[str, IndexedMonth] = {}
