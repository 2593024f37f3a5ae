"""Which runs exist, and what is stored under one: from listings, before any document is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, groupby

from atb.contract import keys
from atb.contract.runs import is_run_name, validate_run
from atb.errors import Denied, SpecError
from atb.storage import Entry, Store
from atb.storage.read import find_entry, map_calls

LATEST = "latest"
_TIME = re.compile(r"\d{8}-\d{4,6}")
_MOST_NAMED = 5
_ATTEMPT = re.compile(r"attempts/([1-9][0-9]{0,8})/(claim\.json|exit\.json|log\.txt|checkpoint\.npz)")


@dataclass(slots=True)
class JobFiles:
    """The documents of one job. ``exit`` is the latest attempt's; ``heard``: when that attempt last wrote something,
    by the store's clock, in seconds since 1970."""

    result: Entry | None = None
    verdict: Entry | None = None
    attempts: int = 0
    claim: Entry | None = None
    exit: Entry | None = None
    heard: float = 0.0

    def add(self, name: str, entry: Entry) -> None:
        """Take in an object of the job; ``name`` is its key within the job's folder."""
        if name == "result.json":
            self.result = entry
        elif name == "verdict.json":
            self.verdict = entry
        elif match := _ATTEMPT.fullmatch(name):
            number = int(match[1])
            if number > self.attempts:
                self.attempts, self.claim, self.exit = number, None, None
            if number == self.attempts:
                self.heard = max(self.heard, entry.modified.timestamp())
                if match[2] == "claim.json":
                    self.claim = entry
                elif match[2] == "exit.json":
                    self.exit = entry


@dataclass(slots=True)
class RunFiles:
    """The documents of one run beside those of its jobs. ``progress``: when each job last reported its progress, by the
    store's clock, in seconds since 1970."""

    plan: Entry | None = None
    manifest: Entry | None = None
    progress: dict[str, float] = field(default_factory=dict)
    workers: list[Entry] = field(default_factory=list)


def list_run(store: Store, run: str) -> RunFiles:
    """The documents of a run beside those of its jobs, and its bundles. Raises StoreError."""
    files, tops = RunFiles(), {keys.plan(run): "plan", keys.manifest(run): "manifest"}
    progress, workers = keys.progress_prefix(run), keys.workers_prefix(run)
    listed = map_calls(store, lambda prefix: list(store.list(prefix)), [*tops, progress, workers])
    for entry in chain.from_iterable(listed):
        if entry.key.startswith(progress):
            files.progress[entry.key[len(progress) :].removesuffix(".json")] = entry.modified.timestamp()
        elif entry.key.startswith(workers):
            if entry.key.endswith(".json"):
                files.workers.append(entry)
        elif entry.key in tops:
            setattr(files, tops[entry.key], entry)
    return files


def list_jobs(store: Store, run: str) -> Iterator[tuple[str, JobFiles]]:
    """The documents of each job that has any, in order, while the listing goes on: a large run has many pages of them,
    and the documents of one page can be read while the next is listed. Raises StoreError."""
    prefix = keys.jobs_prefix(run)
    for job, entries in groupby(store.list(prefix), lambda entry: entry.key[len(prefix) :].partition("/")[0]):
        files, start = JobFiles(), len(keys.job_prefix(run, job))
        for entry in entries:
            files.add(entry.key[start:], entry)
        yield job, files


def list_job(store: Store, run: str, job: str) -> JobFiles:
    """The listing of one job. Raises StoreError."""
    files, prefix = JobFiles(), keys.job_prefix(run, job)
    for entry in store.list(prefix):
        files.add(entry.key[len(prefix) :], entry)
    return files


def latest_attempt(names: list[str]) -> int:
    """The number of the latest attempt among the names of a job's objects; 0 where there is none."""
    return max((int(match[1]) for name in names if (match := _ATTEMPT.search(name))), default=0)


def find_run(store: Store, text: str) -> str:
    """The run's whole name. Raises SpecError where none or several are meant, StoreError."""
    if text == LATEST:
        if not (latest := latest_runs(store, 1)):
            raise SpecError(f"there are no runs in {store.url} yet; start one with: atb-launch --symbols BTCUSDT")
        return latest[0]
    if _is_run(store, validate_run(text)):
        return text
    found = [run for run in run_folders(store) if run.startswith(text)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise SpecError(f"there is no run {text} in {store.url}; see: atb-launch list")
    more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    raise SpecError(f"{text} matches {len(found)} runs: {', '.join(found[:_MOST_NAMED])}{more}; write more of the name")


def latest_runs(store: Store, most: int) -> list[str]:
    """The runs planned last, the latest first: by the time in the name, else by when the plan was written.

    Raises StoreError.
    """
    runs = run_folders(store)
    timed = [(match[0], run) for run in runs if (match := _TIME.search(run))]
    named = [run for run in runs if not _TIME.search(run)]
    planned = [(time, run) for run in named if (time := _find_time(store, run)) is not None]
    ordered = [run for _, run in sorted([*timed, *planned], reverse=True)]
    found: list[str] = []
    while ordered and len(found) < most:  # a folder may hold no run, or one of a training without a launcher
        wanted = most - len(found)
        first, ordered = ordered[:wanted], ordered[wanted:]
        there = map_calls(store, partial(_is_run, store), first)
        found += [run for run, is_run in zip(first, there, strict=True) if is_run]
    return found


def _find_time(store: Store, run: str) -> str | None:
    """When the run was planned; empty where this user may not look, None where there is no plan."""
    try:
        entry = find_entry(store, keys.plan(run))
    except Denied:
        return ""
    return None if entry is None else f"{entry.modified:%Y%m%d-%H%M%S}"


def run_folders(store: Store) -> list[str]:
    """The folders that can be runs, in order; there may be no plan in one. Raises StoreError."""
    return [name for name in store.folders(keys.RUNS) if is_run_name(name)]


def _is_run(store: Store, run: str) -> bool:
    """Also where this user may not look: then a command about it says so."""
    try:
        return find_entry(store, keys.plan(run)) is not None
    except Denied:
        return True
