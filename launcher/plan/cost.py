"""What a plan will cost, by the pace of earlier runs or of the benchmarks; and what a run did cost.

How long Pods wait for nodes, pull their image and start, and how many attempts fail, is not known and comes on top.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from atb.contract.presets import PresetName
from atb.contract.spec import Spec
from atb.documents.manifest import Manifest, ManifestJob, Usage
from atb.documents.plan import Plan

HOUR = 3600.0
MOST_RUNS = 5
"""How many earlier runs are read, the latest first."""


@dataclass(frozen=True)
class Pace:
    """How fast one preset trains: ``fixed`` seconds a job beside its epochs, ``per_epoch_bar`` seconds for each bar of
    an epoch, and the ``epochs`` that patience lets it take. ``source``: where this is from."""

    fixed: float
    per_epoch_bar: float
    epochs: float
    source: str


@dataclass(frozen=True)
class Estimate:
    """Seconds of all trainings that would run, added up; ``most``: if none stops before its last epoch.

    ``held``: seconds times GPUs, or seconds times Pods where there is no GPU, of what the trainings are given; some run
    beside each other in one Pod. ``wall`` is None where nothing says how many run at a time.
    """

    jobs: int
    seconds: float
    most: float
    held: float
    held_most: float
    gpus: int
    wall: float | None
    basis: tuple[str, ...]


@dataclass(frozen=True)
class Shape:
    """How a plan's jobs are run: GPUs of a Pod, trainings at a time in it, and at a time in all (None: not bounded)."""

    gpus: int
    slots: int
    at_once: int | None


BENCHMARKS: Mapping[PresetName, tuple[float, float]] = {
    "fast": (0.01390, 14.0),
    "balanced": (0.01605, 17.0),
    "quality": (0.07375, 26.0),
    "legacy": (0.02074, 15.0),
}
"""Seconds of a step on one core, and of all else in a job, compiling included: docs/performance.md, "One job"."""
_ALIKE = 2.0
_TRAINED_SHARE = 0.7
_PATIENCES = 2.0
"""Where nothing was measured, the best epoch is assumed to come after as many epochs as patience then waits."""


def benchmark_pace(spec: Spec) -> Pace:
    """What to assume of a preset that no earlier run has trained."""
    step, fixed = BENCHMARKS[spec.preset]
    source = (
        f"no earlier run like this one: {1000 * step:.1f} ms a step and {fixed:.0f} s for all else, as measured on one "
        f"CPU core (docs/performance.md), and {_PATIENCES:.0f} × patience epochs, an assumption"
    )
    return Pace(fixed, step * _TRAINED_SHARE / spec.batch_size, _PATIENCES * spec.patience, source)


def measured_paces(plan: Plan, runs: Iterable[tuple[Plan, Manifest]]) -> dict[str, Pace]:
    """The pace of each preset of a plan: medians over its jobs in the first of the earlier runs that has some.

    Only jobs on about as many bars count: of a short fit most is compiling, which grows with nothing.
    """
    wanted = {job.spec.preset: job.spec for job in plan.jobs}
    found: dict[str, Pace] = {}
    for earlier, manifest in runs:
        specs = {job.job: job.spec for job in earlier.jobs}
        done: dict[str, list[tuple[ManifestJob, Spec]]] = defaultdict(list)
        for job in manifest.jobs:
            spec, like = specs.get(job.job), wanted.get(cast(PresetName, job.preset))
            if job.state == "done" and spec and like and _alike(spec, like):
                done[job.preset].append((job, spec))
        for preset, jobs in done.items():
            if preset not in found and (pace := _pace_of(manifest.run, jobs, wanted[cast(PresetName, preset)])):
                found[preset] = pace
    return found


def _alike(spec: Spec, other: Spec) -> bool:
    return other.expected_bars / _ALIKE < spec.expected_bars < other.expected_bars * _ALIKE


def _pace_of(run: str, jobs: Sequence[tuple[ManifestJob, Spec]], planned: Spec) -> Pace | None:
    """None where no job has left its times. A job that took all its epochs does not show where patience would end."""
    timed = [
        (job.seconds - job.fit_seconds, job.fit_seconds / (job.epochs * spec.expected_bars), job.epochs, spec)
        for job, spec in jobs
        if job.seconds is not None and job.fit_seconds is not None and job.epochs
    ]
    if not timed:
        return None
    fixed = max(0.0, statistics.median(each[0] for each in timed))
    ended = [epochs for _, _, epochs, spec in timed if epochs < spec.epochs or spec.epochs >= planned.epochs]
    epochs = statistics.median(ended) if ended else _PATIENCES * planned.patience
    of = f"{len(timed)} job{'s' * (len(timed) != 1)} of run {run}: {fixed:.1f} s beside the fit"
    source = f"{of}, {epochs:.0f} epochs" if ended else f"{of}; {_PATIENCES:.0f} × patience epochs, an assumption"
    return Pace(fixed, statistics.median(each[1] for each in timed), epochs, source)


def estimate_cost(plan: Plan, shape: Shape, paces: Mapping[str, Pace]) -> Estimate:
    """What the jobs of a plan that would run take. ``paces``: those that were measured, by preset."""
    seconds = most = 0.0
    basis: dict[str, str] = {}
    for job in plan.to_run:
        spec = job.spec
        pace = paces.get(spec.preset) or benchmark_pace(spec)
        basis.setdefault(spec.preset, pace.source)
        seconds += pace.fixed + pace.per_epoch_bar * spec.expected_bars * min(pace.epochs, spec.epochs)
        most += pace.fixed + pace.per_epoch_bar * spec.expected_bars * spec.epochs
    jobs = len(plan.to_run)
    at_once = None if shape.at_once is None else max(1, min(shape.at_once, jobs))
    share = max(1, shape.gpus) / max(1, min(shape.slots, jobs))
    return Estimate(
        jobs=jobs,
        seconds=seconds,
        most=most,
        held=seconds * share,
        held_most=most * share,
        gpus=shape.gpus,
        wall=None if at_once is None else seconds / at_once,
        basis=tuple(f"{preset}: {source}" for preset, source in basis.items()),
    )


def held_seconds(usage: Usage, shape: Shape) -> float:
    """GPU-seconds, or without GPUs seconds of Pods or processes, that a run held. Workers count their own GPUs."""
    return usage.held_seconds if usage.workers else usage.held_seconds * max(1, shape.gpus)


def estimate_lines(estimate: Estimate, price: float | None) -> Iterator[str]:
    """Seconds, hours and, with a ``price`` an hour, money; and what these numbers are made from."""
    if not estimate.jobs:
        yield "cost      nothing would be trained"
        return
    yield f"trainings {estimate.jobs}: {estimate.seconds:,.0f} s in all, at most {estimate.most:,.0f} s"
    yield f"cost      {describe_held(estimate.held, estimate.gpus, price)}"
    yield f"at most   {describe_held(estimate.held_most, estimate.gpus, price)}, if none stops before its last epoch"
    if estimate.wall is not None:
        yield f"time      {estimate.wall / 60:,.1f} min"
    for line in estimate.basis:
        yield f"basis     {line}"
    yield "not in it waiting for nodes, pulling the image, starting Pods, attempts that fail"


def describe_held(seconds: float, gpus: int, price: float | None) -> str:
    """``1.25 GPU-hours, 3.13 at 2.5 an hour``."""
    hours = seconds / HOUR
    words = f"{hours:,.3g} {'GPU-hours' if gpus else 'hours without a GPU'}"
    return words if price is None else f"{words}, {hours * price:,.2f} at {price:g} an hour"
