"""What ``atb-launch`` without a subcommand does: plan, run, collect; and the same for ``--resume``."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console

from atb.code import code_digest_of
from atb.contract.runs import new_run, validate_run
from atb.contract.sources import validate_symbol
from atb.documents.plan import Plan
from atb.errors import AtbError, SpecError, StoreError
from atb.options.say import say
from atb.options.stores import open_said, store_words
from atb.registry.warm import pin_warm_start
from atb.storage import Store
from launcher.cli.ending import Ending, ending_of, finish, tell
from launcher.cli.options import Choices
from launcher.kubernetes import schedule
from launcher.plan.backend import Backend, Mode, Setup, run_exit_code, validate_checks
from launcher.plan.backends import choose_backend, find_backend
from launcher.plan.build import build_plan, commit_plan, find_plan, read_names, read_plan, skip_unchanged
from launcher.plan.options import LaunchOptions
from launcher.records.liveness import read_launcher, say_alive
from launcher.records.run_record import RunRecord
from launcher.report.guide import can_help
from launcher.report.live_table import RunView
from launcher.report.table import plan_lines

AWAY_SECONDS = 5.0
"""How long a store that was just given up is waited for once more, to collect the run."""
_MANY = 50
"""From this many trainings on, a terminal is asked for confirmation."""


def launch(choices: Choices) -> int:
    """Plan a run and do it; the exit code. Raises AtbError."""
    options, training = choices.launch, choices.training
    symbols_text = options.symbols
    if symbols_text is None:
        raise SpecError("nothing to train: give --symbols BTCUSDT,ETHUSDT, or --resume RUN; see atb-launch --help")
    if options.schedule:
        options, training = _at_its_time(options, training)
    now = datetime.now(UTC)
    run = validate_run(options.run) if options.run else new_run(now)
    symbols, presets = _read_names(symbols_text, "--symbols"), _read_names(options.presets, "--presets")
    backend = _open_backend(options.backend, choices.setup)
    store = open_said(options.store, options.endpoint_url, patient=options.schedule is not None)
    plan = build_plan(
        run,
        symbols,
        presets,
        training,
        backend=backend.name,
        now=now,
        launcher_options={**backend.options, **_described(options)},
        pin=lambda text, model_key: pin_warm_start(store, text, model_key),
    )
    for job in plan.jobs:
        validate_symbol(job.spec.symbol, job.spec.source, job.spec.market)
    begun = find_plan(store, run) if options.schedule else None
    if begun is not None:
        tell(f"run {run} has begun already and is resumed")
        plan = begun
    elif not options.force:
        plan = skip_unchanged(plan, store, code_digest_of, backend.image)
    to_run = len(plan.to_run)
    if options.dry_run:
        _say_dry_run(plan, store, backend, options)
        return 0
    doubts = _preflight(plan, store, backend) if to_run else False
    if (to_run >= _MANY or doubts) and not options.yes and sys.stdin.isatty():
        click.confirm(f"{to_run} trainings {backend.describe(to_run)}; continue?", abort=True, err=True)
    if begun is None:
        commit_plan(plan, store)
    return follow(plan, store, backend, "create", ending_of(options), wait=options.wait)


def resume(choices: Choices) -> int:
    """Do what an earlier run left undone, as its plan says where the command line does not; the exit code.

    Raises AtbError.
    """
    options, given = choices.launch, choices.setup.given
    store = open_said(options.store, options.endpoint_url)
    plan = read_plan(store, options.resume or "")
    if "promote" not in given and plan.options.get("promote"):
        options = options.model_copy(update={"promote": plan.options["promote"]})
    if options.dry_run:
        raise SpecError(f"--dry-run does not go with --resume; see: atb-launch status {plan.run}")
    asked = options.backend if "backend" in given else plan.backend
    backend = _open_backend(asked, replace(choices.setup, plan=plan))
    _preflight(plan, store, backend)
    return follow(plan, store, backend, "resume", ending_of(options), wait=options.wait)


def _described(options: LaunchOptions) -> dict[str, str]:
    """What a plan keeps of its launch."""
    return {"promote": options.promote} | ({"schedule": options.schedule} if options.schedule else {})


def _open_backend(asked: str, setup: Setup) -> Backend:
    """The backend, named in the first line. Raises SpecError, Unavailable."""
    name, why = choose_backend(asked)
    module = find_backend(name)
    tell(f"backend {name}: {why}")
    return module.open_backend(setup)


def _preflight(plan: Plan, store: Store, backend: Backend) -> bool:
    """Say what can be known before anything is created; whether there are doubts to ask about. Raises SpecError."""
    found = backend.check(plan, store)
    if not found:
        return False
    width = max(len(check.name) for check in found)
    for check in found:
        mark = {"ok": "ok  ", "note": "note", "warning": "WARN", "error": "FAIL"}[check.level]
        tell(f"{mark}  {check.name:<{width}}  {check.text}")
    validate_checks(found)
    return any(check.level == "warning" for check in found)


def follow(plan: Plan, store: Store, backend: Backend, mode: Mode, ending: Ending, *, wait: bool = True) -> int:
    """Have the backend run a plan, collect the outcome, and return the exit code. Raises AtbError."""
    to_run = planned = len(plan.to_run)
    if mode == "resume":
        if (other := read_launcher(store, plan.run)) is not None and other.alive:
            tell(f"another launcher follows this run: {other.words}; this one joins it")
        record = RunRecord.of(store, plan)
        to_run = len(record.left())
        for place in record.set_aside_results(store):
            tell(f"a result that can't be read was moved to {store.url}/{place}; its job is done again")
    counts = {"done already": planned - to_run, "skipped as unchanged": len(plan.jobs) - planned}
    work = f"{to_run} to train {backend.describe(to_run)}" if to_run else "nothing to train"
    tell("; ".join([f"run {plan.run}: {work}", *(f"{count} {what}" for what, count in counts.items() if count)]))
    stopped: int | None = None
    away = backend.outlives_launcher
    attach = shlex.join(["atb-launch", "attach", plan.run, *store_words(store, os.environ)])
    resume = resume_command(plan.run, store)
    try:
        with say_alive(store, plan.run, plan.backend), RunView(f"run {plan.run}", Console(stderr=True)) as view:
            stopped = backend.run(plan, store, view.show, mode=mode, wait=wait)
    except AtbError as error:
        store.on_wait = tell
        try:
            finish(plan.run, store.within(AWAY_SECONDS) if isinstance(error, StoreError) else store, ending)
        except AtbError as second:
            tell(f"the run could not be collected: {second}")
        raise type(error)(f"{error}; continue with: {attach if away else resume}") from None
    store.on_wait = tell
    if away and (stopped is not None or not wait):
        tell(f"the Jobs continue without this launcher; follow them with: {attach}")
        return 0 if stopped is None else 128 + abs(stopped)
    try:
        manifest = finish(plan.run, store, ending)
    except AtbError as error:
        raise type(error)(f"{error}; continue with: {resume}") from None
    if stopped is not None:
        tell(f"stopped; continue with: {resume}")
        return 128 + abs(stopped)
    if manifest.complete:
        return 0
    tell(f"not every model is there; retry with: {resume}" if can_help(manifest) else "not every model is there")
    failed = [job.category for job in manifest.jobs if job.state not in ("done", "skipped")]
    return run_exit_code(failed, backend.exit_codes)


def resume_command(run: str, store: Store) -> str:
    """The command that continues a run."""
    return shlex.join(["atb-launch", "--resume", run, *store_words(store, os.environ)])


def _at_its_time(options: LaunchOptions, training: Mapping[str, Any]) -> tuple[LaunchOptions, Mapping[str, Any]]:
    """The run and the cut of a schedule's Pod, however late or often it starts."""
    name = options.schedule or ""
    given = {"run": options.run, "as_of": training.get("as_of"), "end": training.get("end")}
    if extra := [name for name, value in given.items() if value is not None]:
        raise SpecError(f"--{extra[0].replace('_', '-')} does not go with --schedule: the schedule's time decides it")
    due = schedule.read_due(os.environ)
    tell(f"schedule {name}: due at {due.at:%Y-%m-%d %H:%M:%S} UTC, by {due.source}")
    run = schedule.run_name(name, due.at)
    return options.model_copy(update={"run": run}), {**training, "as_of": due.at.isoformat()}


def _say_dry_run(plan: Plan, store: Store, backend: Backend, options: LaunchOptions) -> None:
    """The plan as JSON, the exact objects where the backend creates any, or a line a job."""
    if options.output == "json":
        click.echo(plan.to_bytes(), nl=False)
        return
    objects = backend.render(plan, store, server=options.dry_run == "server")
    if objects is not None:
        for text in objects:
            click.echo(text, nl=False)
        return
    for line in plan_lines(plan):
        say(line)
    to_run = len(plan.to_run)
    say(f"would train {to_run}, would skip {len(plan.jobs) - to_run}; nothing was started")


def _read_names(text: str, what: str) -> tuple[str, ...]:
    names, twice = read_names(text, what)
    if twice:
        more = f" and {len(twice) - 3} more" if len(twice) > 3 else ""
        tell(f"{what}: named more than once, used once: {', '.join(twice[:3])}{more}")
    return names
