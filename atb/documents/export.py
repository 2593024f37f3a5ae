"""The part of a result that says what was exported and how it was verified."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from atb.contract import bundle
from atb.schema import SparsePart


class Parity(SparsePart):
    """The largest differences between an exported model and the trained net over ``windows`` real windows.

    ``scaled`` is of the scaled output and must stay within ``bound``; ``log_return`` and ``price`` (relative), or
    ``volatility`` (relative), and ``bands`` (of the log width, relative) are held against the model's own scaled
    output. ``whole_history``: of a model from bars, the difference to features that were computed over all bars
    instead of just the rows that the model takes.
    """

    windows: int
    scaled: float
    log_return: float | None = None
    price: float | None = None
    volatility: float | None = None
    bands: float | None = None
    bound: float
    enough_windows: bool
    whole_history: float | None = None


class ExportedFile(SparsePart):
    """One ONNX file, or with ``skipped`` why it is not in the bundle.

    ``rows``: bars that a model from bars takes. ``latency_ms``: the median at batch 1 on one thread. ``error_share``:
    the error of an int8 model as a share of the forecasts' spread, and the ``bound`` it is held to: on test windows,
    one at a time, and where the features hold the price, the largest of those at 0.8, 1 and 1.25 times the prices.
    """

    rows: int | None = None
    latency_ms: float | None = None
    parity: Parity | None = None
    error_share: float | None = None
    bound: float | None = None
    skipped: str | None = None


class ExportSummary(SparsePart):
    """What was exported; ``skipped`` says why nothing was."""

    opset: int | None = None
    ir_version: int | None = None
    onnx: str | None = None
    model: ExportedFile | None = Field(None, alias=bundle.MODEL)
    from_bars: ExportedFile | None = Field(None, alias=bundle.MODEL_FROM_BARS)
    int8: ExportedFile | None = Field(None, alias=bundle.MODEL_INT8)
    skipped: str | None = None

    def files(self) -> Iterator[tuple[str, ExportedFile]]:
        """The file's name in the bundle and what is known of it, of each that was tried."""
        tried = ((bundle.MODEL, self.model), (bundle.MODEL_FROM_BARS, self.from_bars), (bundle.MODEL_INT8, self.int8))
        yield from ((name, file) for name, file in tried if file is not None)
