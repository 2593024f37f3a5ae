"""The manifest, from the plan and what the jobs left in the store: collecting twice gives the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from atb.contract import bundle, keys
from atb.documents.manifest import Manifest, ManifestJob
from atb.documents.plan import Plan, PlannedJob
from atb.documents.result import Result
from atb.errors import NotFound
from atb.storage import Store
from launcher.records.job_record import JobRecord, outcome_of, read_all_records


def build_manifest(plan: Plan, traces: Mapping[str, JobRecord], previous: Mapping[str, Result]) -> Manifest:
    """What a run came to. ``previous`` holds the results, by job, that skipped jobs refer to."""
    jobs = tuple(
        _skipped(planned, previous.get(planned.job))
        if planned.action == "skip"
        else _job(planned, traces.get(planned.job, JobRecord()))
        for planned in plan.jobs
    )
    return Manifest(run=plan.run, created=plan.created, jobs=jobs)


def read_manifest(store: Store, plan: Plan) -> Manifest:
    """The manifest of a run as the store has it now. Raises StoreError."""
    previous = {}
    for planned in plan.jobs:
        if planned.action == "skip" and planned.previous_run and planned.previous_job:
            key = keys.result(planned.previous_run, planned.previous_job)
            try:
                previous[planned.job] = Result.from_bytes(store.get(key), key)
            except NotFound:
                continue  # the earlier run was cleaned away since
    return build_manifest(plan, dict(read_all_records(store, plan.run)), previous)


def collect(store: Store, plan: Plan) -> Manifest:
    """Build the manifest and write it beside the plan. Raises StoreError."""
    manifest = read_manifest(store, plan)
    store.put(keys.manifest(plan.run), manifest.to_bytes())
    return manifest


def list_runs(store: Store) -> Iterator[tuple[str, str]]:
    """Each run and what it came to, in words, the latest first. Raises StoreError.

    A run that has not been collected yet has no manifest, and its words say so.
    """
    for run in sorted(store.folders(keys.RUNS), reverse=True):
        key = keys.manifest(run)
        try:
            manifest = Manifest.from_bytes(store.get(key), key)
        except NotFound:
            if _is_planned(store, run):
                yield run, f"not collected yet; see: atb-launch status {run}"
            continue
        counts = Counter(job.state for job in manifest.jobs)
        yield run, f"{manifest.created:%Y-%m-%d %H:%M} UTC  " + ", ".join(f"{n} {state}" for state, n in counts.items())


def _is_planned(store: Store, run: str) -> bool:
    """A single training by ``atb train`` leaves results and no plan."""
    return any(entry.key == keys.plan(run) for entry in store.list(keys.plan(run)))


def _job(planned: PlannedJob, traces: JobRecord) -> ManifestJob:
    outcome = outcome_of(traces)
    if traces.result is not None:
        return _with_result(
            planned,
            traces.result,
            ManifestJob(
                job=planned.job,
                symbol=planned.spec.symbol,
                preset=planned.spec.preset,
                state="done",
                attempts=traces.attempts,
            ),
        )
    report = traces.report
    return ManifestJob(
        job=planned.job,
        symbol=planned.spec.symbol,
        preset=planned.spec.preset,
        state=outcome.state,
        category=outcome.category,
        reason=outcome.reason,
        attempts=traces.attempts,
        epochs=report.epochs if report else None,
        seconds=(report.finished - report.started).total_seconds() if report else None,
        peak_memory_bytes=report.peak_memory_bytes if report else None,
    )


def _skipped(planned: PlannedJob, result: Result | None) -> ManifestJob:
    job = ManifestJob(
        job=planned.job,
        symbol=planned.spec.symbol,
        preset=planned.spec.preset,
        state="skipped",
        reason=planned.reason,
    )
    return job if result is None else _with_result(planned, result, job)


def _with_result(planned: PlannedJob, result: Result, job: ManifestJob) -> ManifestJob:
    model = next((file.key for file in result.files if file.path == bundle.MODEL), None)
    return job.model_copy(
        update={
            "epochs": result.fit.epochs,
            "metrics": result.metrics,
            "baselines": result.baselines,
            "gate": result.gate,
            "seconds": (result.finished - result.started).total_seconds(),
            "result": keys.result(result.run, result.job),
            "model": model,
            "synthetic": result.bars.synthetic,
            "peak_memory_bytes": result.peak_memory_bytes,
        }
    )
