"""``atb train``: one training, from flags or from a resolved spec."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from atb.errors import AtbError, Stopped
from atb.options.completion import complete_symbols
from atb.options.flags import ConfiguredGroup, add_options, with_output
from atb.options.read import read_options
from atb.options.stores import with_patient_store, with_store
from trainer.cli.own_run import plan_run, resume_words, write_page

if TYPE_CHECKING:
    from atb.contract.spec import Spec
    from atb.documents.result import Result
    from atb.storage import Store

log = logging.getLogger(__name__)


@click.group(cls=ConfiguredGroup)
def train() -> None:
    """Train one model."""


@train.command(
    examples="atb train model BTCUSDT --preset fast --epochs 20\natb train model BTC/USDT --source ccxt:kraken"
)
@click.argument("symbol", shell_complete=complete_symbols)
@add_options("Spec", "TrainingOptions")
@with_store
@add_options("run", "ExecutionOptions")
@with_output("the result's document")
@click.pass_context
def model(context: click.Context, /, symbol: str, preset: str | None, store: Store, **_: Any) -> None:
    """Train SYMBOL's model: resolve the spec, train, verify, commit.

    It is a run like those of atb-launch: atb-launch list shows it, it gets a page, and after Ctrl-C
    atb-launch --resume RUN continues it.
    """
    from atb.contract.presets import DEFAULT_PRESET
    from atb.contract.runs import new_run, validate_run
    from atb.contract.spec import resolve_spec
    from atb.options.training import training_options
    from atb.registry.champions import ModelKey
    from atb.registry.warm import pin_warm_start

    chosen, preset = training_options(context), preset or DEFAULT_PRESET
    start = chosen.pop("warm_start", None)
    spec = resolve_spec(symbol, preset, chosen)
    if start is not None:
        chosen["warm_start"] = pin_warm_start(store, start, ModelKey.of(spec))
        spec = resolve_spec(symbol, preset, chosen)
    run = validate_run(context.params["run"]) if context.params["run"] else new_run()
    plan_run(store, run, [spec])
    try:
        _train(spec, store, {**context.params, "run": run})
    except Stopped as error:
        raise Stopped(f"{error}; resume with: {resume_words(store, run)}") from None
    if context.params["log_format"] in (None, "text"):
        write_page(store, run, quiet=context.params["output"] == "json")


@train.command()
@click.argument("spec")
@click.option("--attempt", type=click.IntRange(1), help="The attempt's number.  [default: the next one]")
@with_patient_store
@add_options("run", "ExecutionOptions")
@click.pass_context
def job(context: click.Context, /, spec: str, store: Store, **_: Any) -> None:
    """Train from a resolved SPEC in JSON: what a launcher calls."""
    from atb.contract.spec import Spec

    _train(Spec.from_bytes(spec, "SPEC"), store, context.params)


def _train(spec: Spec, store: Store, options: Mapping[str, Any]) -> None:
    """Train as the execution's options say. Raises AtbError, where the log is not JSON."""
    import os
    import sys

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from atb.contract import keys
    from atb.contract.options import ExecutionOptions
    from atb.contract.runs import new_run, validate_run
    from atb.machine import process_seconds
    from trainer.log import start_logging
    from trainer.own_process import own_imports
    from trainer.process_memory import tune_malloc
    from trainer.stop_signals import StopSignals

    run = validate_run(options["run"]) if options["run"] else new_run()
    execution = read_options(ExecutionOptions, options)
    log_format, as_json = execution.log_format, options.get("output") == "json"
    tail, signals = start_logging(log_format, spec.symbol, spec.preset), StopSignals()
    signals.listen()
    store.on_wait = log.warning
    for line in (f"run     {run}, spec {spec.digest[:16]}, store {store.url}", *describe_spec(spec)):
        click.echo(line, err=as_json) if log_format == "text" else log.info("%s", line)
    log.info("loading TensorFlow")
    try:
        with own_imports():
            from trainer.fit.device import prepare_device
            from trainer.pipeline.job import RunContext, run_job

        tune_malloc()
        startup = process_seconds()
        device = prepare_device(execution.accelerator, execution.gpus, execution.threads)
        context = RunContext(device, signals.should_stop, tail, None, options.get("attempt"), startup, signals.ended_by)
        result = run_job(spec, store, run, context)
    except Exception as caught:
        error = signals.ended_by(caught) or caught
        if log_format == "text":  # to be shown as one plain line
            if error is caught:
                raise
            raise error from None
        known = isinstance(error, AtbError)
        log.error("%s", error if known else f"a bug in atb: {type(error).__name__}: {error}", exc_info=not known)
        sys.exit(error.exit_code if isinstance(error, AtbError) else AtbError.exit_code)
    if as_json:
        click.echo(result.to_bytes(), nl=False)
        return
    if log_format == "text":
        for line in describe_outcome(result):
            click.echo(line)
    click.echo(f"{store.url}/{keys.result(run, result.job)}")


_BLOCK = {
    "bars": ("symbol", "source", "market", "timeframe", "start", "as_of", "on_gap"),
    "goal": ("target", "horizon", "residual", "bands"),
    "net": ("preset", "model_type", "net", "features", "sequence_length", "warm_start"),
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

    metrics, best = result.metrics, next(iter(result.baselines))
    if result.spec.target == "return":
        more = (
            f"MAPE {metrics['mape']:.3f} %, direction {metrics['directional_accuracy']:.1%} "
            f"where the commoner one is {metrics['commoner_direction']:.1%}"
        )
    else:
        more = f"R² {metrics['r2']:.4f}, QLIKE {metrics['qlike']:.4f}"
    return [
        *format_stages(result.stages),
        f"test    RMSE {metrics['rmse']:.6g}, persistence {result.baselines['persistence']['rmse']:.6g}, skill "
        f"{metrics['skill']:+.4f}, best baseline {best} {result.baselines[best]['skill']:+.4f}, {more}"
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
