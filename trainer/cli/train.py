"""``atb train``: one training, from flags or from a resolved spec."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from trainer.cli.stores import with_store
from trainer.contract.presets import DEFAULT_PRESET, MODEL_TYPES, PRESET_NAMES
from trainer.contract.spec import Spec

if TYPE_CHECKING:
    from trainer.storage import Store


@click.group()
def train() -> None:
    """Train one model."""


def _with_surroundings(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(
        (
            click.option("--run", metavar="NAME", help="The run to be part of; default: a new one."),
            click.option(
                "--accelerator",
                type=click.Choice(["auto", "gpu", "cpu"]),
                default="auto",
                show_default=True,
                help="gpu: exit 21 where there is none.",
            ),
            click.option("--gpus", type=click.IntRange(1), default=1, show_default=True, help="GPUs to train on."),
            click.option("--threads", type=click.IntRange(0), default=0, help="CPU threads; default: all."),
            click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True),
        )
    ):
        command = option(command)
    return command


@train.command()
@click.argument("symbol")
@click.option("--preset", type=str, default=DEFAULT_PRESET, show_default=True, help=", ".join(PRESET_NAMES))
@click.option("--source", help="sample, files:PATH, binance or ccxt:EXCHANGE.")
@click.option("--market", help="spot, um or cm.")
@click.option("--timeframe", help="The length of a bar, like 1h.")
@click.option("--days", help="The window's length before its end.")
@click.option("--start", help="Where the window begins, instead of --days.")
@click.option("--end", help="Where the window ends; the same as --as-of.")
@click.option("--as-of", help="The instant the data is cut at; default: now.")
@click.option("--model-type", help=f"Another net with the preset's numbers: {', '.join(MODEL_TYPES)}.")
@click.option("--epochs", help="At most so many.")
@click.option("--batch-size", help="Windows in a step.")
@click.option("--sequence-length", help="Bars in a window.")
@click.option("--patience", help="Epochs without progress before the fit ends.")
@click.option("--learning-rate", help="Adam's.")
@click.option("--features", help="classic or relative, and extra columns like classic,+funding_rate.")
@click.option("--horizon", help="Bars from the window's last close to the forecast one.")
@click.option("--seed", help="Decides everything random.")
@click.option("--on-gap", help="segment, fill or fail.")
@click.option("--mixed-precision/--no-mixed-precision", default=None, help="float16 inside, for GPUs.")
@click.option("--skip-onnx", is_flag=True, help="Export nothing; such a model is never promoted.")
@click.option("--augment", help="jitter, scale or jitter,scale: change train windows at random.")
@click.option("--warm-start", help="Go on from a model: champion, a run's name, or KEY@SHA256.")
@click.option("--folds", help="Walk-forward validation beside the model.")
@click.option("--fee-bps", help="The backtest's fee in basis points of a trade.")
@click.option("--slippage-bps", help="The backtest's slippage likewise.")
@click.option("--threshold-bps", help="What a forecast must exceed to be traded.")
@click.option("--short/--no-short", default=None, help="The backtest may also sell short.")
@with_store
@_with_surroundings
def model(symbol: str, preset: str, store: Store, skip_onnx: bool, **options: Any) -> None:
    """Train SYMBOL's model: resolve the spec, train, verify, commit."""
    from trainer.contract.spec import resolve_spec
    from trainer.registry.champions import Seat
    from trainer.registry.warm import pin_warm_start

    around = {name: options.pop(name) for name in ("run", "accelerator", "gpus", "threads", "log_format")}
    chosen = {name: value for name, value in options.items() if value is not None}
    if skip_onnx:
        chosen["onnx"] = False
    if "warm_start" in chosen:
        seat = Seat(symbol, str(chosen.get("timeframe", "1h")), preset)
        chosen["warm_start"] = pin_warm_start(store, chosen["warm_start"], seat)
    _train(resolve_spec(symbol, preset, chosen), store, **around)


@train.command()
@click.argument("spec")
@with_store
@_with_surroundings
def job(spec: str, store: Store, **around: Any) -> None:
    """Train from a resolved SPEC in JSON: what a launcher calls."""
    _train(Spec.from_bytes(spec, "SPEC"), store, **around)


def _train(
    spec: Spec, store: Store, *, run: str | None, accelerator: Any, gpus: int, threads: int, log_format: Any
) -> None:
    import os
    import signal
    import threading

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from trainer.contract import keys
    from trainer.contract.runs import new_run
    from trainer.log import hushed, start_logging

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    tail = start_logging(log_format, spec.symbol, spec.preset)
    run = run or new_run()
    for line in _describe(spec, run, store):
        click.echo(line, err=log_format == "json")

    with hushed():
        from trainer.fit.device import prepare_device
        from trainer.pipeline.job import Surroundings, run_job

    device = prepare_device(accelerator, gpus, threads)
    result = run_job(spec, store, run, Surroundings(device, stop.is_set, tail))
    click.echo(f"{store.url}/{keys.result(run, result.job)}")


def _describe(spec: Spec, run: str, store: Store) -> list[str]:
    fields = spec.model_dump(mode="json", exclude={"schema_version"})
    lines = [f"run              {run}", f"store            {store.url}", f"spec             {spec.digest[:16]}"]
    return lines + [f"{name:<16} {value}" for name, value in fields.items()]
