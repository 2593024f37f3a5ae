"""``atb data``: fetch bars, say what is wrong with them, and look at them."""

from __future__ import annotations

import contextlib
import functools
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from atb.options.completion import complete_symbols
from atb.options.flags import ConfiguredGroup, add_options, with_output
from atb.options.say import say
from atb.options.stores import with_store

if TYPE_CHECKING:
    from atb.contract.spec import Spec
    from atb.storage import Store
    from trainer.bars.check import BarsReport
    from trainer.bars.frame import Bars


_HERE = ("files", "sample")
"""Sources that can be read without a network."""
_MOST_READ = 50
"""Jobs whose bars a dry run reads; of further ones it only counts how many the window can hold."""
_WINDOW = ("source", "market", "timeframe", "days", "start", "end", "as-of")


def _with_window(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add SYMBOL… and what says which bars; the command gets one resolved spec for each symbol."""

    @click.argument("symbols", metavar="SYMBOL...", nargs=-1, required=True, shell_complete=complete_symbols)
    @add_options(*(f"train.{name}" for name in _WINDOW), "train.preset")
    @functools.wraps(command)
    def resolved(symbols: tuple[str, ...], preset: str | None, **options: Any) -> Any:
        from atb.contract.presets import DEFAULT_PRESET
        from atb.contract.spec import resolve_spec
        from atb.options.training import training_options

        window = training_options(click.get_current_context())
        own = {name: value for name, value in options.items() if name.replace("_", "-") not in _WINDOW}
        logging.basicConfig(format="%(message)s", handlers=[_Printer()])
        for name in ("atb", "trainer"):
            logging.getLogger(name).setLevel(logging.INFO)
        return command(specs=[resolve_spec(symbol, preset or DEFAULT_PRESET, window) for symbol in symbols], **own)

    return resolved


class _Printer(logging.Handler):
    """Prints what is logged as this command prints its own words."""

    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record), err=True)


@click.group(cls=ConfiguredGroup)
def data() -> None:
    """Fetch, check and show bars."""


@data.command()
@_with_window
@with_output("one object per symbol, one per line")
@with_store
def get(store: Store, specs: list[Spec], output: str) -> None:
    """Fetch each SYMBOL's bars into the store, month by month; only what is new is fetched."""
    from atb.schema import canonical_json

    def one(spec: Spec) -> None:
        _, report = _read(spec, store)
        if output == "json":
            click.echo(canonical_json(report.to_dict()))
        else:
            say(report.summary())

    _for_each(specs, one)


@data.command()
@_with_window
@with_output("one object per symbol, one per line")
@with_store
def check(store: Store, specs: list[Spec], output: str) -> None:
    """Report what is wrong with each SYMBOL's bars; exits 10 if a training with the preset would reject them."""
    from atb.schema import canonical_json
    from trainer.bars.check import validate_bars, validate_series, validate_values
    from trainer.bars.load import validate_last
    from trainer.bars.source import open_source
    from trainer.features.training_data import load_training_data, split_training_data
    from trainer.features.windows import rows_needed

    def one(spec: Spec) -> None:
        bars, report = _read(spec, store)
        if output == "json":
            click.echo(canonical_json(report.to_dict()))
        else:
            say(report.summary())
            for line in _describe_gaps(bars):
                say(f"  {line}")
        validate_series(report)
        validate_values(report)
        validate_last(report, open_source(spec.source, store))
        validate_bars(report, rows_needed(spec.sequence_length, spec.horizon))
        with _without_summary():
            split_training_data(spec, load_training_data(spec, store))

    _for_each(specs, one)


@data.command(hidden=True)
@with_store
def foresee(store: Store) -> None:
    """Read specs, one JSON object per line, and print for each the problem that its training would meet, as one JSON
    string per line, empty if there is none. Exchanges are not asked: it only counts the bars that fit the window."""
    import json

    from atb.contract.sources import split_source
    from atb.contract.spec import Spec
    from atb.errors import AtbError
    from trainer.features.training_data import load_training_data, split_training_data
    from trainer.features.windows import rows_needed

    for number, line in enumerate(sys.stdin.buffer):  # UTF-8, whatever a terminal takes
        spec, problem = Spec.model_validate_json(line), ""
        needed = rows_needed(spec.sequence_length, spec.horizon)
        try:
            if spec.expected_bars < needed:
                problem = f"{spec.expected_bars:,} bars lie in the window and {needed:,} are needed; add --days"
            elif split_source(spec.source)[0] in _HERE and number < _MOST_READ:
                split_training_data(spec, load_training_data(spec, store))
        except AtbError as error:
            problem = str(error)
        click.echo(json.dumps(problem))


@data.command()
@_with_window
@click.option("--folder", metavar="FOLDER", default=".", show_default=True, help="Where to write SYMBOL-TIMEFRAME.png.")
@with_output("one object per symbol, one per line, with the picture's path")
@with_store
def show(store: Store, specs: list[Spec], folder: str, output: str) -> None:
    """Draw each SYMBOL's candles and volume, with the gaps marked."""
    from atb.contract.labels import safe_segment
    from atb.schema import canonical_json
    from trainer.bars.chart import draw_bars

    def one(spec: Spec) -> None:
        bars, report = _read(spec, store)
        path = Path(folder, f"{safe_segment(spec.symbol)}-{spec.timeframe}.png")
        draw_bars(bars, path, report.summary())
        click.echo(canonical_json({**report.to_dict(), "picture": str(path)}) if output == "json" else path)

    _for_each(specs, one)


@contextlib.contextmanager
def _without_summary() -> Iterator[None]:
    """What is loaded again is not summed up again."""
    loading = logging.getLogger("trainer.bars.load")
    before = loading.level
    loading.setLevel(logging.WARNING)
    try:
        yield
    finally:
        loading.setLevel(before)


def _read(spec: Spec, store: Store) -> tuple[Bars, BarsReport]:
    from atb.contract import timeframe as tf
    from trainer.bars.check import check_bars
    from trainer.bars.source import open_source

    start, as_of = tf.epoch_ms(spec.start), tf.epoch_ms(spec.as_of)
    raw = open_source(spec.source, store).fetch(spec.symbol, spec.timeframe, spec.market, start, as_of)
    return check_bars(raw, start, as_of)


def _for_each(specs: list[Spec], one: Callable[[Spec], None]) -> None:
    """Handle every symbol; a failure is reported and the rest continues. The first failure is raised at the end."""
    from atb.errors import AtbError

    failures: list[AtbError] = []
    for spec in specs:
        try:
            one(spec)
        except AtbError as error:
            failures.append(error)
    for failure in failures[1:]:
        say(f"error: {failure}", err=True)
    if failures:
        raise failures[0]


def _describe_gaps(bars: Bars, most: int = 20) -> list[str]:
    """One line per gap, the longest ones where there are many."""
    from atb.contract import timeframe as tf
    from trainer.bars.frame import gaps

    found = gaps(bars)
    chosen = sorted(sorted(found, key=lambda gap: gap[0] - gap[1])[:most])
    lines = [
        f"gap of {(stop - start) // bars.step_ms} bars: {tf.from_epoch_ms(start):%Y-%m-%d %H:%M} … "
        f"{tf.from_epoch_ms(stop):%Y-%m-%d %H:%M}"
        for start, stop in chosen
    ]
    return lines if len(found) <= most else [*lines, f"and {len(found) - most} shorter ones"]
