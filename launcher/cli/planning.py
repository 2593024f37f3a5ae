"""What a launch would do: its plan, its store and its backend, before anything is started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click

from atb.code import code_digest_of
from atb.contract.runs import new_run, validate_run
from atb.contract.sources import validate_symbol
from atb.documents.plan import Plan
from atb.errors import AtbError, SpecError
from atb.options.say import say
from atb.options.stores import open_cli_store, store_words
from atb.registry.warm import pin_warm_start
from atb.storage import Store
from launcher.cli.ending import KEPT, tell
from launcher.cli.options import Choices
from launcher.kubernetes import schedule
from launcher.plan.backend import Backend, Setup
from launcher.plan.backends import choose_backend, find_backend
from launcher.plan.build import build_plan, find_plan, read_names, skip_unchanged
from launcher.plan.options import LaunchOptions
from launcher.report.table import plan_lines

DRY_SECONDS = 5.0
"""How long a dry run waits for a store."""


@dataclass(frozen=True)
class Planned:
    """A plan with its backend and store. ``begun``: an earlier launcher of the same schedule wrote it."""

    plan: Plan
    store: Store
    backend: Backend
    begun: bool


def plan_launch(choices: Choices) -> Planned:
    """The plan of a new run, with unchanged jobs marked. Writes nothing. Raises AtbError."""
    options, training = choices.launch, choices.training
    symbols_text = options.symbols
    if symbols_text is None:
        raise SpecError("nothing to train: give --symbols BTCUSDT,ETHUSDT, or --resume RUN; see atb-launch --help")
    described: dict[str, Any] = {name: getattr(options, name) for name in KEPT}
    if options.schedule:
        due = _read_due(options, training)
        options = options.model_copy(update={"run": schedule.run_name(options.schedule, due.at)})
        training = {**training, "as_of": due.at.isoformat()}
        described |= {"schedule": options.schedule, "schedule_owner": due.owner}
    now = datetime.now(UTC)
    run = validate_run(options.run) if options.run else new_run(now)
    symbols, presets = _read_names(symbols_text, "--symbols"), _read_names(options.presets, "--presets")
    backend = open_named(options.backend, choices.setup)
    store = open_cli_store(options.store, options.endpoint_url, patient=options.schedule is not None)
    plan = build_plan(
        run,
        symbols,
        presets,
        training,
        backend=backend.name,
        now=now,
        launcher_options={**backend.options, **described},
        pin=lambda text, model_key: pin_warm_start(store, text, model_key),
    )
    for job in plan.jobs:
        validate_symbol(job.spec.symbol, job.spec.source, job.spec.market)
    begun = find_plan(store, run) if options.schedule else None
    if begun is not None:
        _validate_same_schedule(begun, plan, store)
        tell(f"run {run} has begun already and is resumed")
        plan = begun
    elif not options.force:
        plan = _skip(plan, store, backend, options)
    return Planned(plan, store, backend, begun is not None)


def _skip(plan: Plan, store: Store, backend: Backend, options: LaunchOptions) -> Plan:
    """The plan with unchanged jobs marked. A client-side dry run continues without a store that it can't read."""
    if options.dry_run != "client":
        return skip_unchanged(plan, store, code_digest_of, backend.image)
    try:
        return skip_unchanged(plan, store.within(DRY_SECONDS), code_digest_of, backend.image)
    except AtbError as error:
        tell(f"what is unchanged is not known: {error}")
        return plan


def open_named(requested: str, setup: Setup) -> Backend:
    """The backend, named in the first line. Raises SpecError, Unavailable."""
    name, why = choose_backend(requested)
    module = find_backend(name)
    tell(f"backend {name}: {why}")
    return module.open_backend(setup)


def say_dry_run(planned: Planned, options: LaunchOptions) -> None:
    """The plan as JSON, the exact objects where the backend creates any, or one line per job."""
    plan, store, backend = planned.plan, planned.store, planned.backend
    if options.output == "json":
        click.echo(plan.to_bytes(), nl=False)
        return
    problems = foresee(plan, store)
    objects = backend.render(plan, store, server=options.dry_run == "server")
    if objects is not None:
        for text in objects:
            click.echo(text, nl=False)
        for job, problem in problems.items():
            tell(f"{job} would fail: {problem}")
        return
    for line in plan_lines(plan, problems):
        say(line)
    to_run = len(plan.to_run)
    failing = f", {len(problems)} of which would fail" if problems else ""
    say(f"would train {to_run}{failing}, would skip {len(plan.jobs) - to_run}; nothing was started")


def foresee(plan: Plan, store: Store) -> dict[str, str]:
    """What would make jobs fail, by job: too few bars, a source that is not there. The trainer checks it, where
    that is installed here, and no exchange is queried."""
    if not plan.to_run:
        return {}
    specs = "".join(f"{job.spec.model_dump_json()}\n" for job in plan.to_run)
    words = [sys.executable, "-m", "trainer.cli", "data", "foresee", *store_words(store)]
    done = subprocess.run(words, input=specs, capture_output=True, encoding="utf-8", errors="replace", check=False)
    lines = done.stdout.splitlines()
    if done.returncode or len(lines) != len(plan.to_run):
        tell(
            f"the bars were not looked at: {(done.stderr.strip().splitlines() or ['the trainer is not installed'])[-1]}"
        )
        return {}
    return {job.job: str(found) for job, line in zip(plan.to_run, lines, strict=True) if (found := json.loads(line))}


def _read_due(options: LaunchOptions, training: Mapping[str, Any]) -> schedule.Due:
    """When a schedule's Pod was due, however late or often it starts: that names the run, and cuts its data."""
    given = {"run": options.run, "as_of": training.get("as_of"), "end": training.get("end")}
    if extra := [name for name, value in given.items() if value is not None]:
        raise SpecError(f"--{extra[0].replace('_', '-')} can't be used with --schedule, which decides it")
    due = schedule.read_due(os.environ)
    tell(f"schedule {options.schedule}: due at {due.at:%Y-%m-%d %H:%M:%S} UTC, by {due.source}")
    return due


def _validate_same_schedule(begun: Plan, plan: Plan, store: Store) -> None:
    """Raise SpecError where a schedule of the same name elsewhere has started a run of this name."""
    theirs, ours = (each.options.get("schedule_owner") or "" for each in (begun, plan))
    if theirs and ours and theirs != ours:
        cluster = begun.options.get("cluster") or {}
        raise SpecError(
            f"run {plan.run} in {store.url} was started by another schedule of this name, in namespace "
            f"{cluster.get('namespace', 'unknown')}; give each release a store.url with a prefix of its own"
        )


def _read_names(text: str, what: str) -> tuple[str, ...]:
    names, twice = read_names(text, what)
    if twice:
        more = f" and {len(twice) - 3} more" if len(twice) > 3 else ""
        tell(f"{what}: named more than once, used once: {', '.join(twice[:3])}{more}")
    return names
