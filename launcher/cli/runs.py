"""Commands about runs that are there already: from the store, and from its cluster where the run is on one."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

import click

from atb.options.completion import complete_jobs, complete_runs
from atb.options.flags import Configured, add_options
from atb.options.say import say, say_json
from atb.options.stores import complete_commands, store_words, with_store
from launcher.cli.arguments import with_named_run, with_run
from launcher.cli.options import ACCESS, ENDING, flags_given, read_setup

if TYPE_CHECKING:
    from atb.documents.plan import Plan
    from atb.errors import Unreadable
    from atb.storage import Store
    from launcher.plan.backend import Backend
    from launcher.plan.cost import Shape

_T = TypeVar("_T")


@click.command(cls=Configured)
@add_options("launch.output")
@click.option("--price", metavar="AMOUNT", type=click.FloatRange(0, min_open=True), help="The price of a GPU-hour.")
@add_options(*ACCESS)
@with_run
def status(store: Store, run: str, output: str | None, price: float | None, **_: Any) -> None:
    """Show a RUN's progress, from the store and its cluster."""
    import shutil

    from atb.contract import keys
    from atb.registry.weigh import read_evidence
    from launcher.plan.cost import describe_held, held_seconds
    from launcher.records.liveness import read_launcher
    from launcher.records.manifest import build_manifest
    from launcher.records.run_record import RunRecord
    from launcher.report.live_table import cut_reasons, row_lines, summary_line
    from launcher.report.table import print_manifest
    from launcher.report.together import evidence_line, panel_lines

    record = RunRecord.load(store, run)
    plan, manifest = record.plan, build_manifest(record)
    if stale := [problem for problem in record.problems if problem.key == keys.manifest(run)]:
        stale_words = f"unreadable: {stale[0]}; make it again with: atb-launch collect {run}"
        say(complete_commands(stale_words, store), err=True)
    if output == "json":
        click.echo(manifest.to_bytes(), nl=False)
        return
    unreadable: list[Unreadable] = []
    if not manifest.complete:
        launcher = read_launcher(store, run, unreadable)
        if launcher is not None and launcher.died:
            say(f"the launcher of this run has died: {launcher.words}", err=True)
        elif launcher is not None and launcher.alive:
            say(f"launcher  {launcher.words}")
        for problem in unreadable:
            say(f"unreadable: {problem}; whether a launcher follows this run is not known", err=True)
    rows = () if manifest.complete else _ask_backend(plan, lambda backend: backend.rows(plan, store))
    if rows:
        table = list(row_lines(rows, width=shutil.get_terminal_size().columns))
        click.echo("\n".join(table))
        for line in cut_reasons(rows, table):
            say(line)
        say(f"{run}  {summary_line(rows)}")
    print_manifest(manifest, store.url)
    unreadable.clear()
    if (evidence := read_evidence(store, run, unreadable)) is not None:
        say(f"evidence: {evidence_line(evidence)}")
        for line in panel_lines(evidence.panels):
            say(line)
    for problem in unreadable:
        words = f"unreadable: {problem}; make it again with: atb-launch collect {run}"
        say(complete_commands(words, store), err=True)
    if manifest.usage is not None and (shape := _shape_of(plan)) is not None:
        say(f"cost      {describe_held(held_seconds(manifest.usage, shape), shape.gpus, price)}")


def _shape_of(plan: Plan) -> Shape | None:
    """None where this installation does not have the plan's backend."""
    from atb.errors import SpecError
    from launcher.plan.backends import shape_of

    try:
        return shape_of(plan)
    except SpecError:
        return None


def _ask_backend(plan: Plan, question: Callable[[Backend], Sequence[_T]]) -> Sequence[_T]:
    """What the run's backend reports; nothing, and one line about it, if it can't be reached."""
    from atb.errors import AtbError
    from launcher.plan.backends import open_run

    try:
        return question(open_run(plan, read_setup(click.get_current_context())))
    except AtbError as error:
        say(f"from the store only, as {plan.backend} could not be asked: {error}", err=True)
        return ()


@click.command("list", cls=Configured)
@add_options("launch.output")
@with_store
def list_(store: Store, output: str | None) -> None:
    """List the store's runs, the latest first."""
    from launcher.records.manifest import list_runs

    if output == "json":
        fields = [{**asdict(each), "created": each.created and each.created.isoformat()} for each in list_runs(store)]
        say_json(fields)
        return
    found = False
    for each in list_runs(store):
        say(complete_commands(f"{each.run}  {each.words}", store))
        found = True
    if not found:
        say(complete_commands(f"no runs in {store.url} yet; start one with: atb-launch --symbols BTCUSDT", store))


@click.command(cls=Configured)
@with_named_run
@click.argument("job", required=False, shell_complete=complete_jobs)
@click.option("-f", "--follow", is_flag=True, help="Keep printing until the training ends.")
@click.option("--tail", metavar="N", type=click.IntRange(1), help="Only the last lines.")
@add_options(*ACCESS)
def logs(store: Store, run: str, job: str | None, follow: bool, tail: int | None, **_: Any) -> None:
    """Print the log of the latest attempt of a JOB, like BTCUSDT-fast or BTCUSDT; without one, of all."""
    from launcher.plan.backends import open_run
    from launcher.plan.build import read_plan

    plan = read_plan(store, run)
    backend = open_run(plan, read_setup(click.get_current_context()))
    backend.print_logs(plan, store, job, say, follow=follow, tail=tail)


@click.command(cls=Configured)
@with_named_run
@click.argument("job", shell_complete=complete_jobs)
@add_options("launch.output", *ACCESS)
def why(store: Store, run: str, job: str, output: str | None, **_: Any) -> None:
    """Explain why a JOB is in its state, and what helps."""
    from launcher.plan.build import find_job, read_plan
    from launcher.records.categories import CATEGORIES, fill_remedy
    from launcher.records.job_record import outcome_of, read_record
    from launcher.records.manifest import build_manifest
    from launcher.records.run_record import RunRecord

    plan = read_plan(store, run)
    planned = find_job(plan, job)
    if planned.action == "skip":
        (found,) = build_manifest(RunRecord.of(store, plan.model_copy(update={"jobs": (planned,)}))).jobs
        if output == "json":
            say_json({"run": run, "job": planned.job, "state": found.state, "reason": found.reason})
        else:
            say(f"{planned.job}: {found.state}: {found.reason}")
        return
    lines = _ask_backend(plan, lambda backend: backend.explain(plan, store, planned))
    if lines and output != "json":
        for line in lines:
            say(line)
        return
    record = read_record(store, run, planned.job)
    outcome, ended = outcome_of(record), record.report if record.result is None else None
    category, where = CATEGORIES.get(outcome.category), store_words(store, os.environ)
    remedy = fill_remedy(category.remedy, run, planned.spec, where) if category else ""
    if output == "json":
        fields = {"state": outcome.state, "category": outcome.category, "reason": outcome.reason, "remedy": remedy}
        last = {"exit_code": ended and ended.code, "stage": ended and ended.stage, "attempts": record.attempts}
        say_json({"run": run, "job": planned.job, **fields, **last, "cluster": list(lines)})
        return
    say(f"{planned.job}: {outcome.state}{f' ({outcome.category})' if outcome.category else ''}")
    if outcome.reason:
        say(f"reason    {outcome.reason}")
    if record.attempts:
        say(f"attempts  {record.attempts}")
    if ended is not None:
        say(f"ended     exit code {ended.code} in stage {ended.stage}")
    if remedy:
        say(f"remedy    {remedy}")


@click.command(cls=Configured)
@add_options(*ENDING)
@with_run
def collect(store: Store, run: str, **options: Any) -> None:
    """Rebuild a RUN's manifest and page from its results."""
    from launcher.cli.ending import finish, read_ending
    from launcher.plan.build import read_plan

    given = flags_given(click.get_current_context())
    finish(run, store, read_ending(options, read_plan(store, run), given, kept=("fdr",)))


@click.command(cls=Configured)
@click.argument("run", required=False, shell_complete=complete_runs)
@click.option("--all", "everything", is_flag=True, help="Also rebuild the pages of all runs on the index.")
@click.option("--last", metavar="N", type=click.IntRange(1), default=120, show_default=True, help="How many runs.")
@add_options("launch.output")
@with_store
def page(store: Store, run: str | None, everything: bool, last: int, output: str | None) -> None:
    """Write index.html for the whole store, or the page of a RUN, and print where it is.

    The index has the latest runs, the schedules, the champions with their live record, and trends of skill and cost.
    """
    from launcher.records.listing import find_run, latest_runs
    from launcher.records.run_record import RunRecord
    from launcher.report.index import write_index
    from launcher.report.page import write_report

    if run is not None and everything:
        raise click.UsageError("give one RUN, or --all")
    written = []

    def tell(key: str) -> None:
        written.append(f"{store.url}/{key}")
        if output != "json":
            say(written[-1])

    runs = [find_run(store, run)] if run is not None else latest_runs(store, last) if everything else ()
    for each in runs:
        tell(write_report(store, RunRecord.load(store, each)))
    if run is None:
        tell(write_index(store, last))
    if output == "json":
        say_json(written)
