"""``atb predict``: the next forecast of a champion, through ONNX Runtime alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from atb.options.flags import Configured, add_options
from atb.options.stores import with_store

if TYPE_CHECKING:
    from atb.storage import Store


@click.command(cls=Configured)
@click.argument("symbol")
@add_options("train.source", "train.as-of", defaults={"source": "the model's own"})
@click.option("--timeframe", metavar="LENGTH", help="Where the symbol has champions of several timeframes.")
@click.option("--preset", metavar="NAME", help="Where the symbol has champions of several presets.")
@click.option("--json", is_flag=True, help="One JSON object.")
@with_store
def predict(
    store: Store,
    symbol: str,
    source: str | None,
    as_of: str | None,
    timeframe: str | None,
    preset: str | None,
    json: bool,
) -> None:
    """Forecast SYMBOL's next close with its champion, whose files are verified first."""
    from atb.contract import timeframe as tf
    from atb.registry.champions import find_model_key, require_champion
    from atb.schema import readable_json
    from trainer.bars.source import open_source
    from trainer.pipeline.predict import predict_next

    champion = require_champion(store, find_model_key(store, symbol, timeframe, preset))
    cut = tf.parse_instant(as_of, "--as-of") if as_of else datetime.now(UTC)
    opened = open_source(source, store) if source else None
    found = predict_next(store, champion, cut, opened)
    asked_made_up = opened is not None and opened.synthetic
    seen = found.last_open < champion.unseen_from
    skill = champion.metrics.get("skill", 0.0)
    if json:
        fields = {
            "symbol": found.symbol,
            "timeframe": found.timeframe,
            "horizon": found.horizon,
            "last_open": found.last_open.isoformat(),
            "target_open": found.target_open.isoformat(),
            "last_close": found.last_close,
            "price": found.price,
            "log_return": found.log_return,
            "run": champion.run,
            "skill": skill,
            "synthetic": champion.synthetic or asked_made_up,
            "unseen_from": champion.unseen_from.isoformat(),
            "unseen": not seen,
        }
        click.echo(readable_json(fields), nl=False)
        return
    if champion.synthetic or asked_made_up:
        what = "trained on" if champion.synthetic else "forecast from"
        click.echo(f"{what} made-up bars: this is not a market")
    click.echo(f"last close  {found.last_close:.8g}   bar of {found.last_open:%Y-%m-%d %H:%M} UTC")
    click.echo(
        f"forecast    {found.price:.8g}   {found.log_return:+.4%}, close of the bar of "
        f"{found.target_open:%Y-%m-%d %H:%M} UTC"
    )
    click.echo(f"model       {champion.run}/{champion.job}, skill {skill:+.4f} over the last close on its test rows")
    if seen:
        click.echo(
            f"trained on  these bars: it has seen all before {champion.unseen_from:%Y-%m-%d %H:%M} UTC, so this is no "
            "forecast that was put to the test"
        )
