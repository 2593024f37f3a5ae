"""``atb predict``: the next forecasts of champions, through ONNX Runtime alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from atb.contract.exits import INTERRUPTED
from atb.options.completion import complete_symbols
from atb.options.flags import Configured, add_options
from atb.options.say import say
from atb.options.stores import complete_commands, with_store
from trainer.cli.models import no_champions, with_key

if TYPE_CHECKING:
    from atb.documents.champion import Champion
    from atb.storage import Store
    from trainer.serve.forecasts import NoForecast

    Found = tuple[Sequence[Champion], Sequence[NoForecast]]

_OUTPUTS = ("table", "json", "csv")
_EXAMPLES = """
atb predict BTCUSDT ETHUSDT --output csv
atb predict --all --follow --keep
"""


@click.command(cls=Configured, examples=_EXAMPLES)
@click.argument("symbols", metavar="[SYMBOL]...", nargs=-1, shell_complete=complete_symbols)
@click.option("--all", "every", is_flag=True, help="Every champion in the store.")
@add_options("train.source", "train.as-of", defaults={"source": "the model's own"})
@with_key
@click.option(
    "--output", type=click.Choice(_OUTPUTS), default=_OUTPUTS[0], show_default=True, help="json: one object per line."
)
@click.option("--keep", is_flag=True, help="Write each forecast to the store too, below signals/.")
@click.option("--follow", "-f", is_flag=True, help="Print new forecasts at each bar's close, until Ctrl-C.")
@with_store
def predict(
    store: Store,
    symbols: tuple[str, ...],
    every: bool,
    source: str | None,
    as_of: str | None,
    words: dict[str, Any],
    output: str,
    keep: bool,
    follow: bool,
) -> None:
    """Forecast the next close or volatility, with price bands, by the champions of SYMBOLs or of all.

    Every model's files are verified first. A champion that can't forecast is a row that says why. Exits 0 if each has
    its forecast; else with the code that all failures share, or 1.
    """
    from atb.clock import SYSTEM_CLOCK
    from atb.contract import timeframe as tf
    from atb.errors import SpecError
    from trainer.cli.forecasts import open_printer
    from trainer.serve.follow import follow as follow_bars
    from trainer.serve.forecasts import Forecasts, shared_exit_code

    if every == bool(symbols):
        raise SpecError("name symbols, such as: atb predict BTCUSDT; or take every champion with --all")
    if follow and as_of:
        raise SpecError("--follow forecasts from now on; leave out --as-of")
    find = _finder(store, symbols, words)
    forecasts = Forecasts(store, source, keep=keep)
    show = open_printer(output, single=len(symbols) == 1)
    if follow:
        try:
            follow_bars(find, forecasts, show, SYSTEM_CLOCK)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None
    now = datetime.now(UTC)
    champions, unreadable = find()
    if every and not champions and not unreadable:
        if words:
            raise SpecError(f"no champion in {store.url} has {', '.join(f'--{n} {w}' for n, w in words.items())}")
        say(no_champions(store), err=True)
    rows = [*forecasts.make(champions, tf.parse_instant(as_of, "--as-of") if as_of else now, now), *unreadable]
    show(rows)
    raise click.exceptions.Exit(shared_exit_code(rows))


def _finder(store: Store, symbols: Sequence[str], words: dict[str, Any]) -> Callable[[], Found]:
    """What looks up the champions of the symbols, or all where none is named."""
    from atb.errors import SpecError
    from atb.registry.champions import ModelKey, find_model_key, require_champion, scan_champions
    from trainer.serve.forecasts import NoForecast

    def find_all() -> Found:
        champions, problems = scan_champions(store)
        fitting = [each for each in champions if vars(ModelKey.of(each)).items() >= words.items()]
        return fitting, [NoForecast(each.key, str(each), each.exit_code) for each in problems]

    def find_named() -> Found:
        champions, missing = [], []
        for symbol in dict.fromkeys(symbols):
            try:
                champions.append(require_champion(store, find_model_key(store, symbol, **words)))
            except SpecError as error:
                missing.append(NoForecast(symbol, complete_commands(str(error), store), error.exit_code))
        return champions, missing

    return find_named if symbols else find_all
