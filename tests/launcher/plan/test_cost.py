"""What a plan will cost, and what a run did: by hand-made paces and runs whose answer can be worked out on paper."""

from __future__ import annotations

from dataclasses import replace

import pytest

from atb.documents.manifest import Manifest, ManifestJob, Usage
from atb.documents.plan import Plan
from launcher.plan.cost import (
    BENCHMARKS,
    Pace,
    Shape,
    benchmark_pace,
    describe_held,
    estimate_cost,
    estimate_lines,
    held_seconds,
    measured_paces,
)
from tests.launcher.fixtures import make_plan

plan = make_plan("A", "B", "C", "D")
BARS = plan.jobs[0].spec.expected_bars
PACE = Pace(fixed=10.0, per_epoch_bar=2.0 / BARS, epochs=5.0, source="by hand")
"""Ten seconds and two for each epoch, of which patience lets it take five."""


def with_epochs(epochs: int) -> Plan:
    jobs = (job.model_copy(update={"spec": job.spec.model_copy(update={"epochs": epochs})}) for job in plan.jobs)
    return plan.model_copy(update={"jobs": tuple(jobs)})


def manifest_of(run: str, *seconds: tuple[float, float, int]) -> Manifest:
    jobs = (
        ManifestJob(
            job=job.job, symbol=job.spec.symbol, preset=job.spec.preset, state="done", seconds=whole, fit_seconds=fit,
            epochs=epochs,
        )
        for job, (whole, fit, epochs) in zip(plan.jobs, seconds, strict=False)
    )  # fmt: skip
    return Manifest(run=run, created=plan.created, jobs=tuple(jobs))


def test_seconds_are_the_fixed_ones_and_those_of_the_epochs() -> None:
    found = estimate_cost(with_epochs(100), Shape(gpus=1, slots=1, at_once=2), {"fast": PACE})
    assert found.seconds == pytest.approx(4 * (10 + 5 * 2))
    assert found.most == pytest.approx(4 * (10 + 100 * 2))
    assert found.wall == pytest.approx(found.seconds / 2)
    assert [found.held, found.held_most] == pytest.approx([found.seconds, found.most])


def test_no_more_epochs_are_expected_than_are_allowed() -> None:
    found = estimate_cost(with_epochs(3), Shape(0, 1, None), {"fast": PACE})
    assert found.seconds == found.most == pytest.approx(4 * (10 + 3 * 2))
    assert found.wall is None


def test_trainings_that_share_a_pod_share_its_gpus() -> None:
    alone = estimate_cost(plan, Shape(1, 1, None), {"fast": PACE})
    for gpus, slots, times in [(1, 4, 1 / 4), (2, 4, 2 / 4), (2, 1, 2), (1, 100, 1 / 4), (0, 2, 1 / 2)]:
        assert estimate_cost(plan, Shape(gpus, slots, None), {"fast": PACE}).held == pytest.approx(alone.held * times)


def test_skipped_jobs_cost_nothing() -> None:
    skipped = plan.model_copy(update={"jobs": tuple(job.model_copy(update={"action": "skip"}) for job in plan.jobs)})
    found = estimate_cost(skipped, Shape(1, 1, 1), {})
    assert (found.jobs, found.seconds, found.held, found.basis) == (0, 0, 0, ())
    assert list(estimate_lines(found, 2.0)) == ["cost      nothing would be trained"]


def test_the_pace_is_the_latest_runs_median_and_finds_its_own_run_again() -> None:
    latest = manifest_of("run-2", (30.0, 20.0, 10), (31.0, 21.0, 10), (300.0, 21.0, 10))
    older = manifest_of("run-1", (500.0, 400.0, 10))
    paces = measured_paces(with_epochs(50), [(with_epochs(50), latest), (with_epochs(50), older)])
    pace = paces["fast"]
    assert [pace.fixed, pace.per_epoch_bar, pace.epochs] == pytest.approx([10.0, 2.1 / BARS, 10.0])
    assert "3 jobs of run run-2: 10.0 s beside the fit, 10 epochs" in pace.source
    assert estimate_cost(with_epochs(50), Shape(0, 1, 1), paces).seconds == pytest.approx(4 * 31.0)


def test_jobs_that_left_no_times_or_are_not_done_are_no_evidence() -> None:
    done = manifest_of("run-1", (30.0, 20.0, 10))
    for change in ({"state": "failed"}, {"seconds": None}, {"fit_seconds": None}, {"epochs": None}):
        jobs = tuple(job.model_copy(update=change) for job in done.jobs)
        assert measured_paces(plan, [(plan, done.model_copy(update={"jobs": jobs}))]) == {}


def test_a_run_that_took_all_its_epochs_does_not_show_where_patience_ends() -> None:
    short = manifest_of("run-1", (30.0, 20.0, 10))
    spec = plan.jobs[0].spec
    for allowed, planned, epochs in [(10, 100, 2 * spec.patience), (11, 100, 10), (10, 10, 10)]:
        pace = measured_paces(with_epochs(planned), [(with_epochs(allowed), short)])["fast"]
        assert pace.epochs == epochs, (allowed, planned)
        assert ("an assumption" in pace.source) == (epochs != 10)


def test_runs_on_far_fewer_or_more_bars_are_not_like_this_one() -> None:
    done, spec = manifest_of("run-1", (30.0, 20.0, 10)), plan.jobs[0].spec
    for share, like in [(0.4, False), (0.6, True), (1.9, True), (2.1, False)]:
        start = spec.as_of - share * (spec.as_of - spec.start)
        jobs = (job.model_copy(update={"spec": spec.model_copy(update={"start": start})}) for job in plan.jobs[:1])
        earlier = plan.model_copy(update={"jobs": tuple(jobs)})
        assert bool(measured_paces(plan, [(earlier, done)])) == like, share


def test_without_an_earlier_run_the_benchmarks_are_taken_and_named() -> None:
    spec = plan.jobs[0].spec
    pace = benchmark_pace(spec)
    step, fixed = BENCHMARKS["fast"]
    assert pace.fixed == fixed
    steps = 0.7 * BARS / spec.batch_size
    assert pace.per_epoch_bar * BARS == pytest.approx(step * steps)
    found = estimate_cost(plan, Shape(1, 1, None), {})
    assert len(found.basis) == 1
    assert "no earlier run like this one" in found.basis[0]
    assert "docs/performance.md" in found.basis[0]


def test_a_job_of_its_own_holds_each_of_its_gpus_and_workers_have_counted_theirs() -> None:
    usage = Usage(fit_seconds=6.0, held_seconds=20.0, jobs=2)
    assert held_seconds(usage, Shape(2, 1, None)) == 40.0
    assert held_seconds(usage, Shape(0, 1, None)) == 20.0
    assert held_seconds(usage.model_copy(update={"workers": 1, "gpus": 2}), Shape(2, 1, None)) == 20.0


def test_hours_and_money_in_words() -> None:
    assert describe_held(5400, 1, 2.5) == "1.5 GPU-hours, 3.75 at 2.5 an hour"
    assert describe_held(360, 0, None) == "0.1 hours without a GPU"
    found = replace(estimate_cost(with_epochs(100), Shape(1, 1, 2), {"fast": PACE}), held=7200.0)
    lines = list(estimate_lines(found, 0.5))
    assert lines[:4] == [
        "trainings 4: 80 s in all, at most 840 s",
        "cost      2 GPU-hours, 1.00 at 0.5 an hour",
        "at most   0.233 GPU-hours, 0.12 at 0.5 an hour, if none stops before its last epoch",
        "time      0.7 min",
    ]
    assert lines[4:] == [
        "basis     fast: by hand",
        "not in it waiting for nodes, pulling the image, starting Pods, attempts that fail",
    ]
