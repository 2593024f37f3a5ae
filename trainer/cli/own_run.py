"""A run that ``atb`` does by itself: planned, listed, resumed and shown like one of ``atb-launch``."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from atb.errors import Stopped
from atb.options.say import say

if TYPE_CHECKING:
    from atb.contract.spec import Spec
    from atb.storage import Store

_MADE_BY = "made_by"
"""Among a plan's options: only a plan of ours takes in further trainings."""
_TRIES = 20
_STDERR = 2


def plan_run(store: Store, run: str, specs: Sequence[Spec]) -> None:
    """Write the plan of a run, or add to the one that is there. A launcher's plan stays as it is. Raises StoreError."""
    from atb.contract import keys
    from atb.documents.plan import Plan, PlannedJob
    from atb.errors import NotFound, PreconditionFailed, StoreError, Unreadable

    key = keys.plan(run)
    jobs = [PlannedJob(job=keys.job_id(s.symbol, s.preset), spec=s, spec_digest=s.digest) for s in specs]
    for _ in range(_TRIES):
        try:
            data, etag = store.get_with_etag(key)
            plan = Plan.from_bytes(data, key)
        except NotFound:
            plan, etag = None, ""
        except Unreadable:
            return  # nothing here is lost by it
        try:
            if plan is None:
                new = Plan(
                    run=run, created=datetime.now(UTC), backend="local", options={_MADE_BY: "atb"}, jobs=tuple(jobs)
                )
                store.put_if_absent(key, new.to_bytes())
                return
            known = {(job.job, job.spec_digest) for job in plan.jobs}
            added = [job for job in jobs if (job.job, job.spec_digest) not in known]
            if plan.options.get(_MADE_BY) != "atb" or not added:
                return
            again = {job.job for job in added}
            kept = (job for job in plan.jobs if job.job not in again)
            store.put_if_match(key, plan.model_copy(update={"jobs": (*kept, *added)}).to_bytes(), etag)
            return
        except PreconditionFailed:
            continue  # another training of the run was first
    raise StoreError(f"the plan of run {run} keeps being changed by other processes; try again")


def run_training(words: Sequence[str]) -> int:
    """Run a training in a process of its own, so that its time and memory are its own; returns its exit code.

    SIGINT and SIGTERM are the training's to answer: it saves a checkpoint, and this process waits for that. Ctrl-C at
    a terminal reaches both; a signal to this process alone is passed on. Its output goes to standard error.
    """
    import signal
    import subprocess

    children: list[subprocess.Popen[bytes]] = []
    stopped = False

    def hear(number: int, _: object) -> None:
        nonlocal stopped
        stopped = True
        for child in children:
            child.terminate()

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with subprocess.Popen(words, stdout=_STDERR) as child:
            children.append(child)
            if stopped:  # the signal came before the child was known
                child.terminate()
            code = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return Stopped.exit_code if stopped and code < 0 else 128 - code if code < 0 else code


def resume_words(store: Store, run: str) -> str:
    """The command that resumes such a run."""
    from atb.options.stores import store_words

    return shlex.join(["atb-launch", "--resume", run, *store_words(store, os.environ)])


def write_page(store: Store, run: str, *, quiet: bool = False) -> None:
    """Have the run's page written, and say where. A page that can't be made stops nothing."""
    import subprocess

    from atb.options.stores import store_words

    words = [sys.executable, "-m", "launcher.cli", "page", run, *store_words(store)]
    done = subprocess.run(words, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"its process ended with {done.returncode}"]
        say(f"the page could not be written: {said[-1]}", err=True)
        return
    if not quiet:
        click.echo(f"report  {done.stdout.strip()}")
