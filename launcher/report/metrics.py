"""A run in numbers for Prometheus: which metrics there are, measured from what the run left in the store.

Names follow https://prometheus.io/docs/practices/naming: base units, ``_total`` for what only grows. A run's metrics
describe that run alone; moments are given as Unix times, so that ages are right however old the numbers are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from atb.documents.attempt import MemoryNeed
from atb.documents.champion import Champion
from atb.documents.manifest import Manifest, ManifestJob, State
from atb.documents.plan import Plan
from atb.registry.champions import ModelKey
from atb.registry.record import Live
from atb.storage import Store
from launcher.records.memory_needs import read_needs

Kind = Literal["gauge", "counter", "histogram", "info"]
Labels = Mapping[str, str]

WAIT_BUCKETS = (10, 30, 60, 300, 900, 3600, 14_400)
"""Seconds: upper bounds of the histogram of waits."""
UNFINISHED = "unfinished"
"""The stage of attempts that left no result."""
OTHER = "other"
"""The stage of what no other covers: claiming the attempt, committing the result."""
STARTUP = "startup"
"""The stage of imports, before anything else."""


@dataclass(frozen=True)
class Family:
    """One metric. A sample is the suffix of its name, its labels and its value."""

    name: str
    kind: Kind
    help: str
    unit: str = ""
    samples: list[tuple[str, Labels, float]] = field(default_factory=list)

    def add(self, value: float, suffix: str = "", /, **labels: str) -> None:
        """Add a sample; a counter's has its ``_total`` by itself."""
        self.samples.append((suffix or ("_total" if self.kind == "counter" else ""), labels, value))


def measure_run(store: Store, plan: Plan, manifest: Manifest, lives: Iterable[Live], now: float) -> list[Family]:
    """All metrics of a run; ``lives``: the champions of its model keys; ``now`` is when they are measured, in seconds
    since 1970. Raises StoreError."""
    needs = read_needs(store, plan.to_run)
    grown = {job: need for job, need in needs.items() if need.run == plan.run}
    return [
        *_describe_run(plan, now),
        *_count_jobs(manifest),
        *_measure_memory(plan, grown),
        _measure_waits(manifest),
        *_measure_stages(plan, manifest),
        _date_champions([live.champion for live in lives if live.champion is not None]),
    ]


def _describe_run(plan: Plan, now: float) -> Iterator[Family]:
    info = Family("atb_run", "info", "The run that these metrics are of.")
    info.add(1, "_info", run=plan.run, backend=plan.backend)
    yield info
    created = Family("atb_run_created_timestamp_seconds", "gauge", "When the run was planned.", "seconds")
    created.add(plan.created.timestamp())
    yield created
    collected = Family("atb_run_collected_timestamp_seconds", "gauge", "When the run was last collected.", "seconds")
    collected.add(now)
    yield collected


def _count_jobs(manifest: Manifest) -> Iterator[Family]:
    jobs = Family("atb_jobs", "gauge", "Jobs of the run by state, and by category where something went wrong.")
    counts: Counter[tuple[str, str]] = Counter((job.state, job.category) for job in manifest.jobs)
    counts.update({(state, ""): 0 for state in get_args(State)})  # a series that comes and goes can't be alerted on
    for (state, category), count in sorted(counts.items()):
        jobs.add(count, state=state, category=category)
    yield jobs
    retries = Family("atb_job_retries", "counter", "Attempts beyond the first of each job.")
    retries.add(sum(max(0, job.attempts - 1) for job in manifest.jobs))
    yield retries


def _measure_memory(plan: Plan, grown: Mapping[str, MemoryNeed]) -> Iterator[Family]:
    jobs = Family("atb_jobs_out_of_memory", "gauge", "Jobs that ran out of memory in this run.")
    jobs.add(len(grown))
    yield jobs
    memory = Family("atb_job_peak_memory_bytes", "gauge", "The most that such a job was seen to use.", "bytes")
    for planned in plan.to_run:
        if (need := grown.get(planned.job)) is not None:
            memory.add(need.peak_memory_bytes, symbol=planned.spec.symbol, preset=planned.spec.preset)
    yield memory


def _measure_waits(manifest: Manifest) -> Family:
    """Only of jobs whose first attempt left the result: when the others first began is not known here."""
    waits = sorted(
        max(0.0, (job.started - manifest.created).total_seconds() - (job.startup_seconds or 0.0))
        for job in manifest.jobs
        if job.state == "done" and job.attempts == 1 and job.started is not None
    )
    family = Family("atb_job_wait_seconds", "histogram", "From the run's plan to a job's first attempt.", "seconds")
    for bound in WAIT_BUCKETS:
        family.add(sum(wait <= bound for wait in waits), "_bucket", le=f"{bound:.1f}")
    family.add(len(waits), "_bucket", le="+Inf")
    family.add(len(waits), "_count")
    family.add(sum(waits), "_sum")
    return family


def _measure_stages(plan: Plan, manifest: Manifest) -> Iterator[Family]:
    seconds = sum_stages(manifest.jobs)
    total, held = sum(seconds.values()), _held_by_gpus(plan, manifest, sum(seconds.values()))
    stages = Family("atb_stage_seconds", "counter", "Seconds of the trainings by stage.", "seconds")
    gpus = Family(
        "atb_stage_gpu_seconds",
        "counter",
        "Seconds for which GPUs were held, once for each GPU, divided among the stages as their seconds are.",
        "seconds",
    )
    for stage, each in seconds.items():
        stages.add(each, stage=stage)
        if held is not None:
            gpus.add(held * each / total if total else 0.0, stage=stage)
    yield stages
    yield gpus


def sum_stages(jobs: Iterable[ManifestJob]) -> dict[str, float]:
    """Seconds by stage of what this run trained, which add up to all its jobs took."""
    sums: dict[str, float] = defaultdict(float)
    for job in jobs:
        if job.state == "done":
            for stage, seconds in job.stages.items():
                sums[stage] += seconds
            sums[STARTUP] += job.startup_seconds or 0.0
            sums[OTHER] += max(0.0, (job.seconds or 0.0) - sum(job.stages.values()))
        elif job.state != "skipped" and job.seconds:
            sums[UNFINISHED] += job.seconds
    return dict(sums)


def _held_by_gpus(plan: Plan, manifest: Manifest, seconds: float) -> float | None:
    """GPU-seconds that were held; None where it is not known whether there were any."""
    usage = manifest.usage
    if usage is not None and usage.workers:
        return usage.held_seconds if usage.gpus else 0.0
    gpus = plan.options.get("gpus")
    return gpus * seconds if isinstance(gpus, int) else None


def _date_champions(champions: Sequence[Champion]) -> Family:
    family = Family(
        "atb_champion_promoted_timestamp_seconds", "gauge", "When the model that serves was promoted.", "seconds"
    )
    for one in champions:
        key = ModelKey.of(one)
        family.add(one.promoted.timestamp(), **{name: str(value) for name, value in vars(key).items()})
    return family
