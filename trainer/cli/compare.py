"""``atb compare``: the published validation method as one command."""

from __future__ import annotations

import shlex
import sys
from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any

import click

from atb.contract.presets import PRESET_NAMES
from atb.options.completion import complete_symbols
from atb.options.flags import Configured, add_options, with_output
from atb.options.stores import with_store
from trainer.cli.own_run import plan_run, run_training, write_page
from trainer.cli.tables import print_table

if TYPE_CHECKING:
    from atb.contract.spec import Spec
    from atb.documents.comparison import Comparison
    from atb.storage import Store

_DAYS = "180"


@click.command(cls=Configured)
@click.argument("symbols", metavar="SYMBOL...", nargs=-1, required=True, shell_complete=complete_symbols)
@add_options("Spec", "TrainingOptions", "run", defaults={"days": _DAYS, "preset": ",".join(PRESET_NAMES)})
@with_output("the comparison's document")
@with_store
def compare(store: Store, symbols: tuple[str, ...], preset: str | None, run: str | None, output: str, **_: Any) -> None:
    """Train every preset on the same rows and seed, and compare their times and errors.

    Three tables: seconds by stage with the speed-up over legacy, errors as a percentage of legacy's with the 5 %
    verdict, and each symbol's skill and directional accuracy. They are kept in the store as
    runs/RUN/comparison.json and comparison.png. Trainings that the run already has are not repeated.
    """
    from atb.contract import keys
    from atb.contract.runs import validate_run
    from atb.contract.spec import resolve_spec
    from atb.errors import Stopped
    from atb.options.training import training_options
    from atb.registry.promote import read_result
    from trainer.bundle.comparison import draw_comparison
    from trainer.pipeline.attempt import read_committed
    from trainer.pipeline.compare import compare_presets

    now = datetime.now(UTC)
    name = validate_run(run) if run else f"compare-{now:%Y%m%d-%H%M%S}"
    options = training_options(click.get_current_context())
    if "start" not in options:
        options.setdefault("days", _DAYS)
    if "end" not in options:
        options.setdefault("as_of", now.isoformat())
    presets = (preset or ",".join(PRESET_NAMES)).split(",")
    specs = [resolve_spec(symbol, each.strip(), options) for symbol in symbols for each in presets]
    plan_run(store, name, specs)
    again = _again(name, specs[0], named=run is not None)
    results = []
    try:
        for number, spec in enumerate(specs, start=1):
            found = read_committed(store, name, spec)
            note = ", trained already" if found else ""
            click.echo(f"{number} of {len(specs)}: {spec.symbol} {spec.preset}{note}", err=True)
            if found is None:
                _train(store, spec, name, again)
                found = read_result(store, name, keys.job_id(spec.symbol, spec.preset))
            results.append(found)
        click.echo("comparing the models on the test rows that they share", err=True)
        comparison = compare_presets(store, name, results)
    except KeyboardInterrupt:
        raise Stopped(f"stopped; continue with: {again}") from None
    picture = BytesIO()
    draw_comparison(comparison).savefig(picture, dpi=110, format="png")
    store.put(keys.comparison(name, "json"), comparison.to_bytes())
    store.put(keys.comparison(name, "png"), picture.getvalue())
    if output == "json":
        click.echo(comparison.to_bytes(), nl=False)
        write_page(store, name, quiet=True)
        return
    _print_tables(comparison)
    click.echo(f"kept in {store.url}: {keys.comparison(name, 'json')} and .png")
    write_page(store, name)


def _print_tables(comparison: Comparison) -> None:
    from atb.comparison import quality_table, stage_table, symbol_table

    for table in (stage_table(comparison), quality_table(comparison), symbol_table(comparison)):
        print_table(table[0], table[1:])
        click.echo()
    counted = ", ".join(f"{symbol} {count:,}" for symbol, count in comparison.rows.items())
    click.echo(f"shared test rows: {counted}; devices: {', '.join({each.device for each in comparison.trained})}")


def _again(run: str, spec: Spec, *, named: bool) -> str:
    """The command that continues this comparison: as it was typed, with the run and the cut that it found."""
    words, typed = ["atb", *sys.argv[1:]], " ".join(sys.argv)
    if not named:
        words += ["--run", run]
    if "--as-of" not in typed and "--end" not in typed:
        words += ["--as-of", f"{spec.as_of:%Y-%m-%dT%H:%M}"]
    return shlex.join(words)


def _train(store: Store, spec: Spec, run: str, again: str) -> None:
    """One training. If it fails or is stopped, so is the comparison, with its exit code."""
    from atb.errors import Stopped

    words = [sys.executable, "-m", "trainer.cli", "train", "job", spec.to_bytes().decode()]
    words += ["--run", run, "--store", store.url]
    words += ["--endpoint-url", store.endpoint_url] if store.endpoint_url else []
    code = run_training(words)
    if code:
        ended = "was stopped" if code == Stopped.exit_code else f"ended with {code}"
        click.echo(f"{spec.symbol} {spec.preset} {ended}; continue with: {again}", err=True)
        raise click.exceptions.Exit(code)
