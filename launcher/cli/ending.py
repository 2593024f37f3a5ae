"""The end of a run: collected, promoted, written down as a page, and printed."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click

from atb.contract import keys
from atb.contract.runs import DEFAULT_FDR
from atb.documents.manifest import Manifest
from atb.documents.plan import Plan
from atb.errors import AtbError
from atb.options.read import read_options
from atb.options.say import say, say_if_slow
from atb.options.stores import store_words
from atb.registry.demote import demote_behind
from atb.registry.promote import whoami
from atb.registry.record import Live, scan_records
from atb.storage import Store
from launcher.plan.options import LaunchOptions
from launcher.records.manifest import collect
from launcher.records.promotion import promote_run, weigh_record
from launcher.records.run_record import RunRecord
from launcher.report.exposition import group_of, push, render_text
from launcher.report.guide import next_steps
from launcher.report.metrics import measure_run
from launcher.report.page import write_report
from launcher.report.table import print_manifest
from launcher.report.together import PanelRows, decide_gates, panel_lines, write_evidence

MOST_ROWS = 200
"""With more jobs, the end of a run that is not on a terminal names only those that need attention."""


@dataclass(frozen=True)
class Ending:
    """What happens to a run that has come to its end."""

    promote: str = "manual"
    accept_first: bool = False
    fdr: float = DEFAULT_FDR
    demotion: str = "warn"
    push_gateway: str | None = None
    output: str = "table"


KEPT = ("promote", "accept_first", "fdr", "demotion")
"""Options of the end that a run's plan keeps for when it is resumed or attached."""


def read_ending(options: Mapping[str, Any], plan: Plan, given: Collection[str], kept: Collection[str] = KEPT) -> Ending:
    """The flags that were given to a command about an earlier run, and of what its plan says those in ``kept``. Raises
    SpecError."""
    names = {field.name for field in dataclasses.fields(Ending)}
    launch = read_options(LaunchOptions, {name: options.get(name) for name in names})
    return ending_of(keep_ending(launch, plan, given, kept))


def ending_of(options: LaunchOptions) -> Ending:
    """What the options say about a run's end."""
    return Ending(**{field.name: getattr(options, field.name) for field in dataclasses.fields(Ending)})


def keep_ending(
    options: LaunchOptions, plan: Plan, given: Collection[str], names: Collection[str] = KEPT
) -> LaunchOptions:
    """The options with those of the end as the run began with them, where the command line does not give them. Plans
    of earlier versions keep only ``promote``. Raises SpecError."""
    kept = {name: value for name in names if name not in given and (value := plan.options.get(name)) is not None}
    return read_options(LaunchOptions, {**dict(options), **kept})


def finish(run: str, store: Store, ending: Ending, access: Sequence[str] = ()) -> Manifest:
    """Collect the run, promote what may be promoted, write its page and print the outcome. ``access``: the options that
    name its cluster in a suggested command."""
    with say_if_slow(f"reading the results of {run}", tell):
        record = RunRecord.load(store, run, afresh=True)
        manifest = collect(store, record)
    rows = PanelRows(record.plan)
    with say_if_slow("weighing the evidence of its models", tell):
        weighed = weigh_record(store, record, ending.fdr, rows.add)
    evidence = None
    if weighed.shown:
        tell(weighed.summary)
        for line in weighed.problem_lines():
            tell(line)
        with say_if_slow("comparing all symbols together", tell):
            evidence = write_evidence(store, run, weighed, rows)
        for line in panel_lines(evidence.panels):
            tell(line)
    promoted: dict[str, bool] = {}
    if ending.promote == "auto":
        for promotion in promote_run(store, record, weighed, accept_first=ending.accept_first):
            tell(f"{promotion.job}: {promotion.decided}: {promotion.reason}")
            promoted[promotion.job] = promotion.decided == "promoted"
    with say_if_slow("reading the champions and their live records", tell):
        lives = scan_records(store, record.model_keys)
    if ending.demotion != "off":
        auto = ending.demotion == "auto"
        said = list(demote_behind(store, lives, auto=auto, by=whoami()))
        for line in said:
            tell(line)
        if said and auto:
            lives = scan_records(store, record.model_keys)
    with say_if_slow("writing metrics and page", tell):
        _write_metrics(store, record.plan, manifest, lives, ending.push_gateway)
        page = write_report(store, record, manifest, lives)
    if ending.output == "json":
        click.echo(manifest.to_bytes(), nl=False)
    else:
        print_manifest(manifest, store.url, None if sys.stdout.isatty() else MOST_ROWS)
        say(f"report    {store.url}/{page}")
        say(f"manifest  {store.url}/{keys.manifest(run)}")
        where, file = store_words(store, os.environ), _file_of(store, page)
        gates = decide_gates(manifest, evidence)
        for step in next_steps(record.plan, gates, promoted, where, page=file, access=access):
            say(f"next      {step.command}")
    return manifest


def _file_of(store: Store, key: str) -> str:
    """The file that an object of a directory is; empty in other stores."""
    return "" if "://" in store.url else f"{store.url}/{key}"


def _write_metrics(store: Store, plan: Plan, manifest: Manifest, lives: Sequence[Live], gateway: str | None) -> None:
    """Leave the run's metrics in the store, and push them. A failure here is no reason to stop."""
    try:
        families = measure_run(store, plan, manifest, lives, datetime.now(UTC).timestamp())
        store.put(keys.metrics(plan.run), render_text(families).encode())
    except AtbError as error:
        tell(f"warning: the metrics could not be written: {error}")
        return
    if gateway and (problem := push(families, gateway, group_of(plan))):
        tell(f"warning: {problem}")


def tell(line: str) -> None:
    """Print one line to standard error."""
    say(line, err=True)
