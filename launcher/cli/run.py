"""What ``atb-launch`` without a subcommand does: plan, run, collect; and the same for ``--resume``."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace

import click
from rich.console import Console

from atb.contract.spec import Spec
from atb.documents.plan import Plan
from atb.errors import AtbError, SpecError, StoreError
from atb.options.stores import open_cli_store, store_words
from atb.storage import Store
from launcher.cli.ending import Ending, ending_of, finish, keep_ending, tell
from launcher.cli.options import Choices, access_words
from launcher.cli.plan import read_paces
from launcher.cli.planning import open_named, plan_launch, say_dry_run
from launcher.plan.backend import Backend, Mode, run_exit_code, validate_checks
from launcher.plan.build import commit_plan, read_plan, revive_skipped
from launcher.records.liveness import read_launcher, say_alive
from launcher.records.run_record import RunRecord
from launcher.report.eta import Usual
from launcher.report.guide import can_help
from launcher.report.run_view import RunView

AWAY_SECONDS = 5.0
"""How long to wait once more for a store that was just given up, to collect the run."""
_MANY = 50
"""From this many trainings on, a user at a terminal must confirm."""


def launch(choices: Choices) -> int:
    """Plan a run and do it; the exit code. Raises AtbError."""
    options, planned = choices.launch, plan_launch(choices)
    plan, store, backend = planned.plan, planned.store, planned.backend
    to_run = len(plan.to_run)
    if options.dry_run:
        say_dry_run(planned, options)
        return 0
    doubts = _preflight(plan, store, backend) if to_run else False
    if (to_run >= _MANY or doubts) and not options.yes and sys.stdin.isatty():
        click.confirm(f"{to_run} trainings {backend.describe(to_run)}; continue?", abort=True, err=True)
    if not planned.begun:
        commit_plan(plan, store)
    return follow(plan, store, backend, "create", ending_of(options), access_words(choices.setup), wait=options.wait)


def resume(choices: Choices) -> int:
    """Do what an earlier run left undone, as its plan says where the command line does not; the exit code.

    Raises AtbError.
    """
    options, given = choices.launch, choices.setup.given
    store = open_cli_store(options.store, options.endpoint_url)
    plan = read_plan(store, options.resume or "")
    options = keep_ending(options, plan, given)
    if options.dry_run:
        raise SpecError(f"--dry-run can't be used with --resume; see: atb-launch status {plan.run}")
    requested = options.backend if "backend" in given else plan.backend
    backend = open_named(requested, replace(choices.setup, plan=plan))
    skipped = len(plan.jobs) - len(plan.to_run)
    plan = revive_skipped(plan, store)
    if gone := skipped - (len(plan.jobs) - len(plan.to_run)):
        tell(f"the results that {gone} of {skipped} skipped jobs refer to are no longer there; this run trains them")
    _preflight(plan, store, backend)
    return follow(plan, store, backend, "resume", ending_of(options), access_words(choices.setup), wait=options.wait)


def _preflight(plan: Plan, store: Store, backend: Backend) -> bool:
    """Print what is known before anything is created; whether there are doubts to confirm. Raises SpecError."""
    found = backend.check(plan, store)
    if not found:
        return False
    width = max(len(check.name) for check in found)
    for check in found:
        mark = {"ok": "ok  ", "note": "note", "warning": "WARN", "error": "FAIL"}[check.level]
        tell(f"{mark}  {check.name:<{width}}  {check.text}")
    validate_checks(found)
    return any(check.level == "warning" for check in found)


def follow(
    plan: Plan,
    store: Store,
    backend: Backend,
    mode: Mode,
    ending: Ending,
    access: Sequence[str] = (),
    *,
    wait: bool = True,
) -> int:
    """Have the backend run a plan, collect the outcome, and return the exit code. ``access``: the options that name the
    cluster in commands that go on with it. Raises AtbError."""
    to_run = planned = len(plan.to_run)
    if mode == "resume":
        if (other := read_launcher(store, plan.run)) is not None and other.alive:
            tell(f"another launcher follows this run: {other.words}; this one joins it")
        record = RunRecord.of(store, plan)
        to_run = len(record.left())
        for place in record.set_aside_results(store):
            tell(f"a result that can't be read was moved to {store.url}/{place}; its job will be done again")
    counts = {"done already": planned - to_run, "skipped as unchanged": len(plan.jobs) - planned}
    work = f"{to_run} to train {backend.describe(to_run)}" if to_run else "nothing to train"
    tell("; ".join([f"run {plan.run}: {work}", *(f"{count} {what}" for what, count in counts.items() if count)]))
    stopped: int | None = None
    away = backend.outlives_launcher
    resume = resume_command(plan, store, backend.name, access)
    attach = resume
    if backend.name == plan.backend:
        attach = shlex.join(["atb-launch", "attach", plan.run, *access, *store_words(store, os.environ)])
    try:
        view = RunView(f"run {plan.run}", Console(stderr=True), usual=lambda: read_usual(store, plan))
        with say_alive(store, plan.run, plan.backend), view:
            stopped = backend.run(plan, store, view.show, mode=mode, wait=wait)
    except AtbError as error:
        store.on_wait = tell
        try:
            finish(plan.run, store.within(AWAY_SECONDS) if isinstance(error, StoreError) else store, ending, access)
        except AtbError as second:
            tell(f"the run could not be collected: {second}")
        raise type(error)(f"{error}; continue with: {attach if away else resume}") from None
    store.on_wait = tell
    if away and (stopped is not None or not wait):
        tell(f"the Jobs continue without this launcher; follow them with: {attach}")
        return 0 if stopped is None else 128 + abs(stopped)
    try:
        manifest = finish(plan.run, store, ending, access)
    except AtbError as error:
        if stopped is None:
            raise type(error)(f"{error}; continue with: {resume}") from None
        tell(f"the run could not be collected: {error}")
    if stopped is not None:
        tell(f"stopped; continue with: {resume}")
        return 128 + abs(stopped)
    if manifest.complete:
        return 0
    tell(f"some models are missing; retry with: {resume}" if can_help(manifest) else "some models are missing")
    failed = [job.category for job in manifest.jobs if job.state not in ("done", "skipped")]
    return run_exit_code(failed, backend.exit_codes)


def read_usual(store: Store, plan: Plan) -> dict[str, Usual]:
    """How trainings of each preset ended in earlier runs. Raises AtbError."""
    specs: dict[str, Spec] = {job.spec.preset: job.spec for job in plan.jobs}
    return {
        preset: Usual(pace.fixed + pace.per_epoch_bar * specs[preset].expected_bars * pace.epochs, pace.epochs)
        for preset, pace in read_paces(store, plan).items()
    }


def resume_command(plan: Plan, store: Store, backend: str, access: Sequence[str] = ()) -> str:
    """The command that continues a run, on the backend that it is on now."""
    elsewhere = [] if backend == plan.backend else ["--backend", backend]
    return shlex.join(["atb-launch", "--resume", plan.run, *elsewhere, *access, *store_words(store, os.environ)])
