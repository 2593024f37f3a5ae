"""``index.html``: one page for a whole store, made from the manifests of its latest runs and from its champions."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import ClassVar

from pydantic import AwareDatetime

from atb.clock import SYSTEM_CLOCK, Clock
from atb.contract import keys
from atb.documents.manifest import Manifest, State, Usage
from atb.documents.result import Rule
from atb.errors import NotFound, Unreadable
from atb.options.stores import store_words
from atb.registry.champions import ModelKey, scan_champions
from atb.registry.gate import hold_to, passes
from atb.registry.record import scan_records
from atb.registry.weigh import read_evidence, shown_by_job
from atb.render import render
from atb.schema import Document, Part
from atb.storage import Store
from atb.storage.read import find_entry, read_document
from launcher.records.listing import latest_runs
from launcher.records.run_record import READERS
from launcher.report.views.index_model import NightJob, Run, build_index

LAST_RUNS = 120
"""Runs on the page, the latest first: four months of nights. Each costs reading its manifest."""


class _Job(Part):
    job: str
    symbol: str
    state: State
    category: str = ""
    metrics: dict[str, float] = {}
    gate: tuple[Rule, ...] = ()


class _Night(Document):
    """The part of a manifest that the index shows."""

    kind: ClassVar[str] = "manifest"
    largest: ClassVar[int] = Manifest.largest

    run: str
    created: AwareDatetime
    jobs: tuple[_Job, ...]
    usage: Usage | None = None


def write_index(store: Store, last: int = LAST_RUNS, clock: Clock = SYSTEM_CLOCK) -> str:
    """Make the page of the store's latest runs and write it. Returns its key. Raises StoreError."""
    champions, problems = scan_champions(store)
    lives = scan_records(store, map(ModelKey.of, champions))
    serving: dict[str, int] = {}
    for champion in champions:
        serving[champion.run] = serving.get(champion.run, 0) + 1
    names = latest_runs(store, last)
    with ThreadPoolExecutor(READERS) as pool:
        runs = list(filter(None, pool.map(lambda run: _read_run(store, run, serving), names)))
    now = datetime.fromtimestamp(clock.now(), UTC)
    index = build_index(store.url, runs, lives, now, store_words(store), list(map(str, problems)))
    store.put(keys.INDEX, render("launcher.report", "index.html.j2", page=index).encode())
    return keys.INDEX


def _read_run(store: Store, run: str, serving: Mapping[str, int]) -> Run | None:
    """A run as its manifest has it; None where nothing was ever planned under that name."""
    try:
        return _read_night(store, run, serving)
    except Unreadable as problem:
        return Run(run, None, (), problem=str(problem))


def _read_night(store: Store, run: str, serving: Mapping[str, int]) -> Run | None:
    """The same. Raises Unreadable."""
    try:
        night = read_document(store, _Night, keys.manifest(run), run=run)
    except NotFound:
        planned = find_entry(store, keys.plan(run))
        return None if planned is None else Run(run, planned.modified, (), problem="not collected yet")
    shown = shown_by_job(read_evidence(store, run))
    jobs = tuple(
        NightJob(
            job.state,
            job.category,
            job.metrics.get("skill"),
            passes(hold_to(job.gate, shown[job.job]) if job.gate and job.job in shown else job.gate),
            job.symbol,
        )
        for job in night.jobs
    )
    page = find_entry(store, keys.report(run)) is not None
    usage = night.usage
    return Run(
        run,
        night.created,
        jobs,
        page=page,
        serving=serving.get(run, 0),
        held_seconds=usage.held_seconds if usage else None,
        trained=usage.jobs if usage else 0,
        gpus=usage.gpus if usage else 0,
    )
