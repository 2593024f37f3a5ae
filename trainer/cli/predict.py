"""``atb predict``: the next forecast of a champion, through ONNX Runtime alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from atb.options.flags import Configured, add_options
from atb.options.say import say
from atb.options.stores import with_store
from trainer.cli.models import with_key

if TYPE_CHECKING:
    from atb.documents.champion import Champion
    from atb.storage import Store
    from trainer.forecast import Forecast


@click.command(cls=Configured)
@click.argument("symbol")
@add_options("train.source", "train.as-of", defaults={"source": "the model's own"})
@with_key
@click.option("--json", is_flag=True, help="One JSON object.")
@with_store
def predict(
    store: Store,
    symbol: str,
    source: str | None,
    as_of: str | None,
    words: dict[str, Any],
    json: bool,
) -> None:
    """Forecast SYMBOL's next close or volatility, with price bands, by its champion, whose files are verified first."""
    from atb.contract import timeframe as tf
    from atb.registry.champions import find_model_key, require_champion
    from atb.schema import readable_json
    from trainer.bars.source import open_source
    from trainer.serve.forecasts import predict_next

    champion = require_champion(store, find_model_key(store, symbol, **words))
    cut = tf.parse_instant(as_of, "--as-of") if as_of else datetime.now(UTC)
    opened = open_source(source, store) if source else None
    found = predict_next(store, champion, cut, opened)
    asked_made_up = opened is not None and opened.synthetic
    if json:
        click.echo(readable_json(_fields(found, champion, synthetic=champion.synthetic or asked_made_up)), nl=False)
        return
    for line in _lines(found, champion, asked_made_up=asked_made_up):
        say(line)


def _fields(found: Forecast, champion: Champion, *, synthetic: bool) -> dict[str, Any]:
    """The forecast for --json."""
    return {
        "symbol": found.symbol,
        "timeframe": found.timeframe,
        "target": champion.target,
        "horizon": found.horizon,
        "last_open": found.last_open.isoformat(),
        "target_open": found.target_open.isoformat(),
        "last_close": found.last_close,
        **({} if found.price is None else {"price": found.price, "log_return": found.log_return}),
        **({} if found.volatility is None else _volatility(found)),
        "bands": [{"level": band.level, "lower": band.lower, "upper": band.upper} for band in found.bands],
        "run": champion.run,
        "skill": champion.metrics.get("skill", 0.0),
        "synthetic": synthetic,
        "unseen_from": champion.unseen_from.isoformat(),
        "unseen": found.last_open >= champion.unseen_from,
    }


def _lines(found: Forecast, champion: Champion, *, asked_made_up: bool) -> Iterator[str]:
    """The forecast for people."""
    if champion.synthetic or asked_made_up:
        what = "trained on" if champion.synthetic else "forecast from"
        yield f"{what} made-up bars: this is not a real market"
    yield f"last close  {found.last_close:.8g}   bar of {found.last_open:%Y-%m-%d %H:%M} UTC"
    until = f"the bar of {found.target_open:%Y-%m-%d %H:%M} UTC"
    if found.price is not None:
        yield f"forecast    {found.price:.8g}   {found.log_return:+.4%}, close of {until}"
    if found.volatility is not None:
        yield f"volatility  {found.volatility:.4%} per bar, {found.volatility_by_year:.1%} per year, up to {until}"
    for band in found.bands:
        yield f"{band.level:<10.4g}  {band.lower:.8g} … {band.upper:.8g}   the close of {until}"
    over = "the last close" if champion.target == "return" else "persistence"
    skill = champion.metrics.get("skill", 0.0)
    yield f"model       {champion.run}/{champion.job}, skill {skill:+.4f} over {over} on its test rows"
    if found.last_open < champion.unseen_from:
        yield (
            f"trained on  these bars: it has seen all before {champion.unseen_from:%Y-%m-%d %H:%M} UTC, so this is no "
            "forecast that was put to the test"
        )


def _volatility(found: Forecast) -> dict[str, float | None]:
    return {"volatility": found.volatility, "volatility_by_year": found.volatility_by_year}
