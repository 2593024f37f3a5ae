"""Forecasts in a terminal: lines for one, a table for several, JSON or CSV for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

from atb.documents.champion import Signal
from atb.options.say import say
from atb.registry.champions import ModelKey
from atb.table import Column, table_lines
from trainer.serve.forecasts import NoForecast, Row

_SHOWN_LEVEL = 0.8
"""The table shows the band whose level is nearest; JSON and CSV have them all."""
_COLUMNS = (
    Column("model"), Column("bar, UTC"), Column("last close", right=True), Column("forecast", right=True),
    Column("change", right=True), Column("direction"), Column("band"), Column("skill", right=True),
    Column("age, days", right=True), Column("unseen from, UTC"), Column("note"),
)  # fmt: skip
_FIELDS = (
    "symbol", "timeframe", "preset", "target", "horizon", "last_open", "target_open", "last_close", "price",
    "log_return", "direction", "threshold_bps", "volatility", "volatility_by_year", "skill", "run", "job", "as_of",
    "age_days", "unseen_from", "unseen", "synthetic", "made", "market",
)  # fmt: skip
"""The columns of a CSV before those of the bands."""


def open_printer(output: str, *, single: bool) -> Callable[[Sequence[Row]], None]:
    """What prints rows, as often as it is called. ``single``: one symbol was named, so that a table is its lines."""
    if output == "json":
        return _print_json
    if output == "csv":
        return _CsvPrinter().show
    return _print_lines if single else _print_table


def _print_json(rows: Sequence[Row]) -> None:
    """One object per line."""
    for row in rows:
        click.echo(json.dumps(_fields(row), ensure_ascii=False, allow_nan=False))


def _fields(row: Row) -> dict[str, Any]:
    return vars(row) if isinstance(row, NoForecast) else row.model_dump(mode="json", exclude_none=True)


class _CsvPrinter:
    """The head is that of the first rows; levels of bands that come later have no column."""

    def __init__(self) -> None:
        self._levels: list[float] | None = None

    def show(self, rows: Sequence[Row]) -> None:
        signals = [row for row in rows if isinstance(row, Signal)]
        lines: list[list[Any]] = []
        if self._levels is None:
            self._levels = sorted({band.level for signal in signals for band in signal.bands})
            edges = [f"{edge}_{level:g}" for level in self._levels for edge in ("lower", "upper")]
            lines.append([*_FIELDS, *edges, "problem"])
        lines += [self._cells(row, self._levels) for row in rows]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(lines)
        click.echo(text.getvalue(), nl=False)

    def _cells(self, row: Row, levels: Sequence[float]) -> list[Any]:
        if isinstance(row, NoForecast):
            return [row.model, *[""] * (len(_FIELDS) - 1 + 2 * len(levels)), row.problem]
        fields, bands = row.model_dump(mode="json"), {band.level: (band.lower, band.upper) for band in row.bands}
        edges = [edge for level in levels for edge in bands.get(level, ("", ""))]
        return [*("" if fields[name] is None else fields[name] for name in _FIELDS), *edges, ""]


def _print_table(rows: Sequence[Row]) -> None:
    if rows:
        for line in table_lines(_COLUMNS, [_cells(row) for row in rows]):
            click.echo(line)


def _cells(row: Row) -> tuple[str, ...]:
    if isinstance(row, NoForecast):
        return (row.model, *[""] * 9, row.problem)
    band = min(row.bands, key=lambda band: abs(band.level - _SHOWN_LEVEL), default=None)
    if row.price is not None and row.log_return is not None:
        forecast, change = f"{row.price:.8g}", f"{row.log_return:+.3%}"
    else:
        forecast, change = f"±{row.volatility or 0:.3%}", ""
    return (
        str(ModelKey.of(row)),
        f"{row.last_open:%Y-%m-%d %H:%M}",
        f"{row.last_close:.8g}",
        forecast,
        change,
        row.direction or "–",
        f"{band.level:.0%} {band.lower:.8g} … {band.upper:.8g}" if band else "–",
        f"{row.skill:+.4f}",
        f"{row.age_days:.1f}",
        f"{row.unseen_from:%Y-%m-%d %H:%M}",
        ", ".join(_notes(row)),
    )


def _notes(signal: Signal) -> Iterator[str]:
    if signal.synthetic:
        yield "made-up bars"
    if not signal.unseen:
        yield "trained on these bars"


def _print_lines(rows: Sequence[Row]) -> None:
    for row in rows:
        if isinstance(row, NoForecast):
            say(f"error: {row.problem}", err=True)
            continue
        for line in _lines(row):
            say(line)


def _lines(found: Signal) -> Iterator[str]:
    """One forecast for people."""
    if found.synthetic:
        yield "trained on or forecast from made-up bars: this is not a real market"
    yield f"last close  {found.last_close:.8g}   bar of {found.last_open:%Y-%m-%d %H:%M} UTC"
    until = f"the bar of {found.target_open:%Y-%m-%d %H:%M} UTC"
    if found.price is not None:
        yield f"forecast    {found.price:.8g}   {found.log_return:+.4%}, close of {until}"
        bound = f"{found.threshold_bps:g} basis points"
        where = f"within ±{bound}" if found.direction == "none" else f"by more than {bound}"
        yield f"direction   {found.direction}   {where}, the threshold of its backtest"
    if found.volatility is not None:
        yield f"volatility  {found.volatility:.4%} per bar, {found.volatility_by_year:.1%} per year, up to {until}"
    for band in found.bands:
        yield f"{band.level:<10.4g}  {band.lower:.8g} … {band.upper:.8g}   the close of {until}"
    over = "the last close" if found.target == "return" else "persistence"
    yield f"model       {found.run}/{found.job}, skill {found.skill:+.4f} over {over} on its test rows"
    yield f"age         {found.age_days:.1f} days since the last bar that it knows"
    if not found.unseen:
        yield (
            f"trained on  these bars: it has seen all before {found.unseen_from:%Y-%m-%d %H:%M} UTC, so this "
            "forecast is no test of it"
        )
