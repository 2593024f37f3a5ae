"""``atb models promote``, ``rollback`` and ``evidence``: what decides which model serves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from atb.options.completion import complete_runs, complete_symbols
from atb.options.flags import Configured, add_options, with_output
from atb.options.read import read_options
from atb.options.say import say, say_json
from atb.options.stores import with_store
from atb.redaction import holds_secret
from trainer.cli.models import Words, find_key, name_problems, with_key
from trainer.cli.tables import print_table

if TYPE_CHECKING:
    from atb.documents.evidence import LedgerEntry
    from atb.documents.result import Result
    from atb.errors import Unreadable
    from atb.registry.promote import PromotionOutcome
    from atb.storage import Store

YEAR_MS = 365 * 86_400_000
_DECLINED = 1
"""The exit code of a promotion that the gate declined: nothing went wrong, and nothing was moved."""


def _without_secret(context: click.Context, parameter: click.Parameter, text: str) -> str:
    if holds_secret(text):
        raise click.BadParameter("it looks like a secret, and the history would keep it", context, parameter)
    return text


@click.command(cls=Configured)
@click.argument("run", shell_complete=complete_runs)
@click.argument("symbol", shell_complete=complete_symbols)
@add_options("model.preset")
@click.option("--why", default="", metavar="TEXT", callback=_without_secret, help="The reason, for the history.")
@add_options("GateOptions")
@click.option(
    "--force", is_flag=True, help="Promote despite failed rules, or on a store that ignores conditional writes."
)
@with_output("the decision with every rule")
@with_store
def promote(
    store: Store, run: str, symbol: str, preset: str | None, why: str, force: bool, output: str, **gate: Any
) -> None:
    """Make a run's model of SYMBOL the champion if it passes the gate.

    Exits 0 when it serves now, 1 when the gate declined it, 75 when someone else was first.
    """
    from atb.contract.options import GateOptions
    from atb.registry.candidate import Candidate
    from atb.registry.champions import read_champion
    from atb.registry.promote import evaluate_candidate, list_results, model_key_of, whoami
    from atb.registry.weigh import planned_candidates, weigh_run

    rules = read_options(GateOptions, gate)
    result = _find_result(store, run, symbol, preset)
    found = read_champion(store, model_key_of(result))
    met = result.evaluation.champion
    if found is not None and (met is None or met.entry != found[0].entry):
        from trainer.pipeline.champion import compare_again

        say(f"scoring the champion, {found[0].run}, on this model's test rows", err=True)
        evaluation = result.evaluation.model_copy(update={"champion": compare_again(store, result, found[0])})
        result = result.model_copy(update={"evaluation": evaluation})
    planned = planned_candidates(store, run)
    candidates = map(Candidate.of, list_results(store, run, None, []))
    shown = weigh_run(store, candidates, planned=planned, fdr=rules.fdr).of(result)
    outcome = evaluate_candidate(
        store, result, shown, by=whoami(), why=why, accept_first=rules.accept_first, force=force
    )
    _print_outcome(outcome, run, output)
    if outcome.action == "decline":
        raise click.exceptions.Exit(_DECLINED)


@click.command(cls=Configured)
@click.argument("symbol", shell_complete=complete_symbols)
@with_key
@click.option("--why", default="", metavar="TEXT", callback=_without_secret, help="The reason, for the history.")
@click.option("--force", is_flag=True, help="Roll back even on a store that ignores conditional writes.")
@with_output("the model and the run that serves it")
@with_store
def rollback(store: Store, symbol: str, words: Words, why: str, force: bool, output: str) -> None:
    """Go back to the model that served before the champion."""
    from atb.registry.promote import roll_back, whoami

    model_key = find_key(store, symbol, words)
    champion = roll_back(store, model_key, by=whoami(), why=why, force=force)
    if output == "json":
        say_json({"model": str(model_key), "run": champion.run, "job": champion.job, "action": "rollback"})
    else:
        say(f"{model_key} is served by {champion.run} again")


@click.command(cls=Configured)
@click.argument("symbol", shell_complete=complete_symbols)
@with_key
@click.option("--last", type=click.IntRange(1), default=20, show_default=True, help="How many candidates.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw the e-value to this PNG file.")
@with_output("the entries of the ledger, as one array")
@with_store
def evidence(store: Store, symbol: str, words: Words, last: int, plot: Path | None, output: str) -> None:
    """Print SYMBOL's ledger: which rows were spent by which models, and what they have shown."""
    from atb.registry.betting import e_value
    from atb.registry.ledger import read_entries

    model_key = find_key(store, symbol, words, declined=True)
    entries = read_entries(store, model_key)
    if plot is not None:
        from trainer.bundle.evidence import draw_evidence

        draw_evidence(str(model_key), entries, plot)
    if output == "json":
        say_json([each.model_dump(mode="json") for each in entries[-last:]])
        return
    if not entries:
        say(f"{model_key} has spent no rows; a training spends them once it is committed or its run is collected")
        return
    head = ("entry", "time, UTC", "model", "rows", "spent until, UTC", "all rows", "e-value")
    print_table(head, [_entry_row(entry, e_value(entry.log_e)) for entry in entries[-last:]])
    for line in _deflated_lines(store, entries[-1]):
        say(line)


def _entry_row(entry: LedgerEntry, value: float) -> tuple[str, ...]:
    until = f"{entry.spent_until:%Y-%m-%d %H:%M}" if entry.spent_until else ""
    return (
        str(entry.number),
        f"{entry.recorded:%Y-%m-%d %H:%M}",
        f"{entry.run}/{entry.job}",
        f"{entry.rows:,}",
        until,
        f"{entry.total_rows:,}",
        f"{value:.4g}",
    )


def _deflated_lines(store: Store, entry: LedgerEntry) -> Iterator[str]:
    """The latest candidate's Sharpe, beside what the luckiest of the ledger's trials would show; nothing for a target
    that is not traded."""
    from atb.contract import timeframe as tf
    from atb.errors import SpecError
    from atb.registry.deflated import deflated_sharpe
    from atb.registry.promote import read_result

    try:
        result = read_result(store, entry.run, entry.job)
    except SpecError as error:
        yield f"deflated Sharpe unknown: {error}"
        return
    trading = result.backtest.model
    if not trading:
        return
    found = deflated_sharpe(
        trading.get("sharpe", 0.0),
        trading.get("bars", 0.0),
        trading.get("skew", 0.0),
        trading.get("kurtosis", 3.0),
        entry.candidates,
        entry.sharpe_squares / (entry.candidates - 1) if entry.candidates > 1 else 0.0,
        YEAR_MS / tf.to_ms(result.spec.timeframe),
    )
    chance = "unknown" if found is None else f"{found:.1%}"
    yield (
        f"deflated Sharpe {chance}: the chance that {trading.get('sharpe', 0.0):+.2f} per year is more than the "
        f"best of {entry.candidates:,} trials shows by luck"
    )


def _find_result(store: Store, run: str, symbol: str, preset: str | None) -> Result:
    from atb.contract.presets import PRESET_NAMES
    from atb.errors import SpecError
    from atb.registry.promote import list_results

    problems: list[Unreadable] = []
    results = list_results(store, run, symbol, problems)
    found = [result for result in results if preset in (None, result.spec.preset)]
    name_problems(problems)
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(sorted((result.spec.preset for result in found), key=PRESET_NAMES.index))
        raise SpecError(f"run {run} has models of {symbol} for {names}; add --preset")
    raise SpecError(
        f"run {run} has no result of {' '.join(filter(None, (symbol, preset)))} in {store.url}; see: atb-launch list"
    )


def _print_outcome(outcome: PromotionOutcome, run: str, output: str) -> None:
    from atb.registry.gate import describe, verdict

    if output == "json":
        rules = [rule.model_dump(mode="json") for rule in outcome.rules]
        fields = {"model": str(outcome.model_key), "run": run, "action": outcome.action, "reason": outcome.reason}
        say_json({**fields, "rules": rules})
        return
    for rule in outcome.rules:
        mark = verdict(rule)
        say(f"{'FAILED' if mark == 'failed' else mark}  {describe(rule)}")
    if outcome.action == "decline":
        say(f"declined: {outcome.model_key} is not served by {run}")
    else:
        say(f"{outcome.model_key} is served by {run} now: {outcome.reason}")
