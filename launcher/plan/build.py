"""Symbols × presets → specs → what would run, what would be skipped and why."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from typing import Any

from atb.contract import keys
from atb.contract.features import check_features
from atb.contract.runs import validate_run
from atb.contract.sources import plain_symbol
from atb.contract.spec import Spec, resolve_spec
from atb.documents.plan import Plan, PlannedJob
from atb.documents.result import Result, ResultPointer
from atb.errors import Denied, NotFound, PreconditionFailed, SpecError
from atb.options.text_file import read_text_file
from atb.registry.champions import ModelKey
from atb.registry.pull import bundle_sizes
from atb.storage import Store
from atb.storage.bar_files import BarFolders
from atb.storage.fingerprints import changed_origin
from atb.storage.read import read_document
from launcher.records.run_record import RunRecord

MOST_JOBS = 30_000
"""Of a run: a manifest has 3.5 KB for each, and a document is bounded."""
_READERS = 16
"""Threads that ask the store for earlier results."""


def read_names(text: str, what: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names in ``A,B`` or in the file of ``@FILE``, and those that were there twice.

    A file holds names separated by commas, blanks or lines; ``#`` begins a comment. Raises SpecError.
    """
    if text.startswith("@"):
        try:
            lines = read_text_file(text[1:]).splitlines()
        except ValueError as error:
            raise SpecError(f"{what} {text[:200]!a}: can't read the file: {error}") from None
        text = ",".join(line.split("#")[0] for line in lines)
    found: dict[str, int] = {}
    for name in re.split(r"[,\s]+", text):
        if name:
            found[name] = found.get(name, 0) + 1
    if not found:
        raise SpecError(f"{what} names nothing; write {what} BTCUSDT,ETHUSDT or {what} @FILE")
    return tuple(found), tuple(name for name, count in found.items() if count > 1)


def build_plan(
    run: str,
    symbols: Sequence[str],
    presets: Sequence[str],
    options: Mapping[str, Any],
    *,
    backend: str,
    now: datetime,
    launcher_options: Mapping[str, Any] | None = None,
    pin: Callable[[str, ModelKey], str] = lambda text, model_key: text,
) -> Plan:
    """Every symbol with every preset, all cut at one as-of. ``options`` are ``resolve_spec``'s. Raises SpecError.

    ``pin`` makes a ``warm_start`` like ``champion`` the one file that it stands for, symbol by symbol.
    """
    check_features(str(options.get("features", "classic")))
    if (count := len(symbols) * len(presets)) > MOST_JOBS:
        raise SpecError(
            f"--symbols and --presets make {count:,} jobs, and a run has at most {MOST_JOBS:,}: split the symbols over "
            "several runs"
        )
    unpinned = {name: value for name, value in options.items() if name != "warm_start"}
    jobs = []
    spellings: dict[str, str] = {}
    for symbol in symbols:
        for preset in presets:
            spec = resolve_spec(symbol, preset, unpinned, now=now)
            for market in (plain_symbol(symbol), spec.symbol):
                if (other := spellings.setdefault(market, symbol)) != symbol:
                    raise SpecError(f"--symbols: {other} and {symbol} are the same market; name it once")
            if "warm_start" in options:
                pinned = {"warm_start": pin(str(options["warm_start"]), ModelKey.of(spec))}
                spec = resolve_spec(symbol, preset, {**options, **pinned}, now=now)
            jobs.append(
                PlannedJob.model_construct(job=keys.job_id(spec.symbol, preset), spec=spec, spec_digest=spec.digest)
            )
    return Plan(run=run, created=now, backend=backend, options=dict(launcher_options or {}), jobs=tuple(jobs))


def skip_unchanged(plan: Plan, store: Store, code_digest: Callable[[Spec], str], image: str | None) -> Plan:
    """The plan with each job skipped that has a committed result of the same spec, code, image and bars.

    An image named by digest is its own proof of the code within. Raises StoreError.
    """

    folders = BarFolders(store)

    def look(planned: PlannedJob) -> PlannedJob:
        pointer = _unchanged(planned.spec_digest, store, code_digest(planned.spec), image, folders)
        if pointer is None:
            return planned
        return planned.model_copy(
            update={
                "action": "skip",
                "reason": f"unchanged since run {pointer.run}",
                "previous_run": pointer.run,
                "previous_job": pointer.job,
            }
        )

    with ThreadPoolExecutor(_READERS) as pool:
        jobs = tuple(pool.map(look, plan.jobs))
    return plan.model_copy(update={"jobs": jobs})


def _unchanged(
    spec_digest: str, store: Store, code_digest: str, image: str | None, folders: BarFolders
) -> ResultPointer | None:
    key = keys.result_index(spec_digest)
    try:
        pointer = ResultPointer.from_bytes(store.get(key), key)
        if pointer.image != image or not (pointer.code_digest == code_digest or "@sha256:" in (image or "")):
            return None
        if changed_origin(pointer.sources, store, folders) is not None:
            return None
        # the index is a hint; without a committed result behind it the job runs
        return pointer if _is_there(store, spec_digest, pointer.run, pointer.job) else None
    except (NotFound, SpecError):
        return None


def _is_there(store: Store, spec_digest: str, run: str, job: str) -> bool:
    """Whether a job has a committed result of that spec, and every file of its bundle is there, of its size. Raises
    Denied where this user may not look."""
    try:
        result = read_document(store, Result, keys.result(run, job), run=run, job=job)
    except Denied:
        raise
    except (NotFound, SpecError):
        return False
    if result.spec_digest != spec_digest:
        return False
    sizes = bundle_sizes(store, result.files)
    return all(sizes.get(file.key) == file.size for file in result.files)


def revive_skipped(plan: Plan, store: Store) -> Plan:
    """The plan with the skipped jobs to run whose earlier result is no longer there, also in the store.

    Raises StoreError.
    """

    def look(planned: PlannedJob) -> PlannedJob:
        run, job = planned.previous_run, planned.previous_job
        if planned.action == "run" or run is None or job is None:
            return planned
        with suppress(Denied):  # which says nothing of what is there
            if not _is_there(store, planned.spec_digest, run, job):
                return PlannedJob(job=planned.job, spec=planned.spec, spec_digest=planned.spec_digest)
        return planned

    key = keys.plan(plan.run)
    while True:
        data, etag = store.get_with_etag(key)
        plan = Plan.from_bytes(data, key)
        with ThreadPoolExecutor(_READERS) as pool:
            jobs = tuple(pool.map(look, plan.jobs))
        if jobs == plan.jobs:
            return plan
        plan = plan.model_copy(update={"jobs": jobs})
        with suppress(PreconditionFailed):  # another launcher has just done the same
            store.put_if_match(key, plan.to_bytes(), etag)
            return plan


def jobs_left(plan: Plan, store: Store) -> list[PlannedJob]:
    """The jobs to run that have no committed result, in the plan's order; one that can't be read is none.

    Raises StoreError.
    """
    left = {job.job for job in RunRecord.of(store, plan).left()}
    return [job for job in plan.to_run if job.job in left]


def commit_plan(plan: Plan, store: Store) -> None:
    """Write the plan, before anything is started. Raises SpecError where a run of that name is there."""
    try:
        store.put_if_absent(keys.plan(plan.run), plan.to_bytes())
    except PreconditionFailed:
        raise SpecError(
            f"run {plan.run} is already there in {store.url}; continue with: atb-launch --resume {plan.run}, "
            "or choose another --run"
        ) from None


def find_plan(store: Store, run: str) -> Plan | None:
    """The plan of a run, or None where there is none."""
    key = keys.plan(validate_run(run))
    try:
        return read_document(store, Plan, key, run=run)
    except NotFound:
        return None


def read_plan(store: Store, run: str) -> Plan:
    """The plan of a run. Raises SpecError where there is none."""
    plan = find_plan(store, run)
    if plan is None:
        raise SpecError(f"there is no run {run} in {store.url}; see: atb-launch list")
    return plan


def find_job(plan: Plan, job: str) -> PlannedJob:
    """A job of a plan by its id, or by its symbol where that names one job. Raises SpecError."""
    names = {job, unicodedata.normalize("NFC", job), plain_symbol(job)}
    found = [planned for planned in plan.jobs if names & {planned.job, planned.spec.symbol}]
    if len(found) == 1:
        return found[0]
    known = [planned.job for planned in (found or plan.jobs)]
    some = ", ".join(known[:5]) + (f" and {len(known) - 5} more" if len(known) > 5 else "")
    raise SpecError(f"run {plan.run} has {'more than one' if found else 'no'} job {job}; its jobs: {some}")
