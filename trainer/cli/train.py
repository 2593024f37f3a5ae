"""``atb train``: one training, from flags or from a resolved spec."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from atb.contract.presets import DEFAULT_PRESET, MODEL_TYPES, PRESET_NAMES
from atb.contract.spec import Spec
from atb.errors import AtbError, Stopped
from atb.options.stores import with_store

if TYPE_CHECKING:
    from atb.documents.result import Result
    from atb.storage import Store

log = logging.getLogger(__name__)


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
            click.option(
                "--threads",
                type=click.IntRange(0),
                default=0,
                help="CPU threads beside a GPU; default: all. A fit on the CPU takes one.",
            ),
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
@click.option("--features", help="classic, relative or volatility, and extra columns like classic,+funding_rate.")
@click.option("--target", help="What is forecast: return, or volatility.")
@click.option("--horizon", help="How many bars ahead.")
@click.option("--residual", help="What a volatility net learns: har, what HAR leaves over, or none, all of it.")
@click.option("--bands", help="Levels of the price bands, like 0.5,0.8,0.95.")
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
    from atb.contract.spec import resolve_spec
    from atb.registry.champions import ModelKey
    from atb.registry.warm import pin_warm_start

    around = {name: options.pop(name) for name in ("run", "accelerator", "gpus", "threads", "log_format")}
    chosen = {name: value for name, value in options.items() if value is not None}
    if skip_onnx:
        chosen["onnx"] = False
    start = chosen.pop("warm_start", None)
    spec = resolve_spec(symbol, preset, chosen)
    if start is not None:
        chosen["warm_start"] = pin_warm_start(store, start, ModelKey.of(spec))
        spec = resolve_spec(symbol, preset, chosen)
    _train(spec, store, **around)


@train.command()
@click.argument("spec")
@click.option("--attempt", type=click.IntRange(1), help="The attempt to be, and no other.  [default: the next one]")
@with_store
@_with_surroundings
def job(spec: str, store: Store, **around: Any) -> None:
    """Train from a resolved SPEC in JSON: what a launcher calls."""
    _train(Spec.from_bytes(spec, "SPEC"), store, **around)


def _train(
    spec: Spec,
    store: Store,
    *,
    run: str | None,
    accelerator: Any,
    gpus: int,
    threads: int,
    log_format: Any,
    attempt: int | None = None,
) -> None:
    import os
    import sys

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["OMP_NUM_THREADS"] = "1"  # a linear algebra library's sums too differ with the number of threads
    from atb.contract import keys
    from atb.contract.runs import new_run, validate_run
    from trainer.log import capture_stderr, start_logging
    from trainer.process_memory import gc_frozen, tune_malloc

    run = validate_run(run) if run else new_run()
    tail, should_stop = start_logging(log_format, spec.symbol, spec.preset), _listen_for_stop()
    for line in (f"run     {run}, spec {spec.digest[:16]}, store {store.url}", *describe_spec(spec)):
        click.echo(line) if log_format == "text" else log.info("%s", line)
    try:
        with capture_stderr(), gc_frozen():
            from trainer.fit.device import prepare_device
            from trainer.pipeline.job import RunContext, run_job

        tune_malloc()
        device = prepare_device(accelerator, gpus, threads)
        result = run_job(spec, store, run, RunContext(device, should_stop, tail, attempt=attempt))
    except Exception as error:
        if log_format == "text":
            raise  # to be told as one plain line
        log.error("%s", error if isinstance(error, AtbError) else f"a bug of ours: {type(error).__name__}: {error}")
        sys.exit(error.exit_code if isinstance(error, AtbError) else AtbError.exit_code)
    if log_format == "text":
        for line in describe_outcome(result):
            click.echo(line)
    click.echo(f"{store.url}/{keys.result(run, result.job)}")


def _listen_for_stop() -> Callable[[], bool]:
    """Whether SIGTERM or SIGINT has come. Before anyone has asked, bars are being loaded, and that may wait minutes for
    an exchange: the signal ends it there. Later a second Ctrl-C ends the process wherever it is; SIGTERM never does,
    since a launcher and the system may both send it while the checkpoint is being saved."""
    import signal
    import threading

    stop, asked = threading.Event(), threading.Event()

    def hear(number: int, frame: Any) -> None:
        again, early = stop.is_set(), not asked.is_set()
        stop.set()
        if again and number == signal.SIGINT:
            raise Stopped("told to stop twice; the next attempt resumes from the last checkpoint")
        if early and not again:
            raise Stopped("told to stop before training; the next attempt begins it")

    def should_stop() -> bool:
        asked.set()
        return stop.is_set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, hear)
    return should_stop


_BLOCK = {
    "bars": ("symbol", "source", "market", "timeframe", "start", "as_of", "on_gap"),
    "goal": ("target", "horizon", "residual", "bands"),
    "net": ("preset", "model_type", "features", "sequence_length", "warm_start"),
    "fit": ("epochs", "batch_size", "patience", "learning_rate", "seed", "augment", "mixed_precision"),
    "after": ("folds", "fee_bps", "slippage_bps", "threshold_bps", "short", "onnx"),
}


def describe_spec(spec: Spec) -> list[str]:
    """Every field of a resolved spec, a few to a line, by the names that users type."""
    return [
        f"{title:<7} " + ", ".join(f"{name.replace('_', '-')} {_word(getattr(spec, name))}" for name in names)
        for title, names in _BLOCK.items()
    ]


def describe_outcome(result: Result) -> list[str]:
    """A committed result for people: where the time went, beside persistence, before the gate."""
    from atb.registry.gate import failures, passes
    from trainer.pipeline.stages import format_stages

    metrics, persistence = result.metrics, result.baselines["persistence"]
    return [
        *format_stages(result.stages),
        f"test    RMSE {metrics['rmse']:.6g}, persistence {persistence['rmse']:.6g}, skill {metrics['skill']:+.4f}, "
        f"MAPE {metrics['mape']:.3f} %, direction {metrics['directional_accuracy']:.1%}"
        + (" (made-up bars)" if result.bars.synthetic else ""),
        "gate    " + ("passed" if passes(result.gate) else f"not passed: {failures(result.gate)}"),
    ]


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%MZ}"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value in (None, "") else str(value)
