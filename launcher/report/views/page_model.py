"""What the run's page shows, computed from the record and its results: plain values for the template."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from markupsafe import Markup

from atb.contract import keys
from atb.documents.manifest import Manifest, ManifestJob
from atb.documents.plan import Plan
from atb.documents.result import TOTAL_STAGE, Result
from atb.registry.gate import passes
from launcher.records.categories import CATEGORIES, Category, fill_remedy
from launcher.report.guide import Step, describe_request, next_steps
from launcher.report.table import describe_usage
from launcher.report.together import Together
from launcher.report.views.charts import Skill, SkillAxis, make_axis
from launcher.report.views.compared import Compared
from launcher.report.views.model_details import Curves, Model, build_model, describe_gate, link_to

_UNKNOWN = Category("", "the reason is not known", "look with: atb-launch why RUN SYMBOL", "never", 1)


@dataclass(frozen=True)
class Tile:
    """A count with its name; ``kind`` is ``good``, ``bad`` or empty."""

    count: int
    label: str
    kind: str = ""


@dataclass(frozen=True)
class FailedJob:
    """A job without a model, why, and where its log is."""

    job: str
    reason: str
    log: str


@dataclass(frozen=True)
class FailureGroup:
    """All failures of a category."""

    category: str
    meaning: str
    remedy: str
    jobs: tuple[FailedJob, ...]

    @property
    def count(self) -> int:
        """How many jobs failed so."""
        return len(self.jobs)


@dataclass(frozen=True, slots=True)
class PageRow:
    """A job's row of the table. The ``…_value`` are what it is sorted by."""

    job: str
    symbol: str
    preset: str
    state: str
    kind: str
    synthetic: bool
    detailed: bool
    chart: Markup
    gate: str
    gate_kind: str
    why: str
    skill: str = ""
    skill_value: str = ""
    baseline: str = ""
    baseline_value: str = ""
    epochs: str = ""
    epochs_value: str = ""
    seconds: str = ""
    seconds_value: str = ""
    fit: str = ""
    memory: str = ""
    memory_value: str = ""


@dataclass(frozen=True)
class Column:
    """A column of the table; the one with the chart has the axis for its heading."""

    name: str
    chart: bool = False
    number: bool = False


@dataclass(frozen=True)
class StageRow:
    """What a stage took."""

    name: str
    median: str
    total: str


COLUMNS = tuple(
    Column(name, name == "chart", name in ("skill", "best baseline", "epochs", "time", "memory"))
    for name in (
        "symbol", "preset", "state", "skill", "chart", "best baseline", "gate", "epochs", "time", "memory", "why",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Page:
    """Everything on the page."""

    run: str
    planned: str
    place: str
    usage: str
    asked: tuple[tuple[str, str], ...]
    tiles: tuple[Tile, ...]
    next_steps: tuple[Step, ...]
    failures: tuple[FailureGroup, ...]
    problems: tuple[str, ...]
    rows: tuple[PageRow, ...]
    models: tuple[Model, ...]
    left_out: int
    stages: tuple[StageRow, ...]
    synthetic: str
    axis: PageAxis | None
    together: Together | None = None
    compared: Compared | None = None
    columns: tuple[Column, ...] = field(default=COLUMNS)


@dataclass(frozen=True)
class PageAxis:
    """The axis that all rows share."""

    head: Markup
    clipped: bool


def build_page(
    plan: Plan,
    manifest: Manifest,
    results: Mapping[str, Result],
    curves: Mapping[str, Curves],
    promoted: Mapping[str, bool],
    where: Sequence[str],
) -> Page:
    """The page of a run. ``results`` and ``curves`` are by job and may lack some; ``promoted`` says whether a job's
    model serves; ``where`` are the options that name the store in commands."""
    skills = {job.job: skill for job in manifest.jobs if (skill := _skill_of(job)) is not None}
    axis = make_axis(skills.values())
    details = tuple(
        build_model(job, results[job.job], curves.get(job.job), promoted.get(job.job, False), manifest.run)
        for job in manifest.jobs
        if job.job in results
    )
    mixed = len({job.synthetic for job in manifest.jobs if job.result is not None}) > 1
    return Page(
        run=manifest.run,
        planned=f"{manifest.created:%Y-%m-%d %H:%M}",
        place=f"done on {plan.backend}, kept in {where[1]}",
        usage=describe_usage(manifest.usage) if manifest.usage else "",
        asked=tuple(describe_request(plan, where)),
        tiles=tuple(_tiles(manifest, promoted)),
        next_steps=tuple(next_steps(plan, manifest, promoted, where)),
        failures=tuple(_failures(plan, manifest, where)),
        problems=tuple(problem.problem for problem in manifest.problems),
        rows=tuple(
            _row(job, axis, skills.get(job.job), detailed=job.job in results, mixed=mixed) for job in manifest.jobs
        ),
        models=details,
        left_out=sum(job.result is not None for job in manifest.jobs) - len(details),
        stages=tuple(_stages(results)),
        synthetic=_describe_made_up(manifest),
        axis=PageAxis(Markup(axis.head()), axis.clipped) if axis else None,  # noqa: S704  drawn from numbers
    )


def _describe_made_up(manifest: Manifest) -> str:
    made_up = [job.synthetic for job in manifest.jobs if job.result is not None]
    if not any(made_up):
        return ""
    which = "All models here" if all(made_up) else "Models marked “made up”"
    return f"{which} were trained on a simulation and have never seen a market: their numbers say nothing about one."


def _tiles(manifest: Manifest, promoted: Mapping[str, bool]) -> Iterator[Tile]:
    counted: dict[str, int] = {}
    for job in manifest.jobs:
        counted[job.state] = counted.get(job.state, 0) + 1
    for state in ("failed", "interrupted", "pending", "running", "done", "skipped"):
        if state in counted:
            kind = "good" if state in ("done", "skipped") else "bad" if state in ("failed", "interrupted") else ""
            yield Tile(counted[state], state, kind)
    yield Tile(sum(job.state == "done" and passes(job.gate) for job in manifest.jobs), "passed the gate")
    yield Tile(sum(promoted.values()), "serving now")


def _failures(plan: Plan, manifest: Manifest, where: Sequence[str]) -> Iterator[FailureGroup]:
    specs = {planned.job: planned.spec for planned in plan.jobs}
    failed = [job for job in manifest.jobs if job.state in ("failed", "interrupted")]
    by_category = sorted(failed, key=lambda job: job.category)
    groups = [(name, list(jobs)) for name, jobs in groupby(by_category, key=lambda job: job.category)]
    for name, jobs in sorted(groups, key=lambda group: -len(group[1])):
        known = CATEGORIES.get(name, _UNKNOWN)
        remedy = fill_remedy(known.remedy, manifest.run, specs.get(jobs[0].job), where)
        yield FailureGroup(
            name or "unknown",
            known.meaning,
            remedy,
            tuple(FailedJob(job.job, job.reason, _log_link(manifest.run, job)) for job in jobs),
        )


def _log_link(run: str, job: ManifestJob) -> str:
    return link_to(run, keys.attempt(run, job.job, job.attempts, "log.txt")) if job.attempts else ""


def _skill_of(job: ManifestJob) -> Skill | None:
    if "skill" not in job.metrics:
        return None
    others = [each["skill"] for name, each in job.baselines.items() if name != "persistence" and "skill" in each]
    return Skill(job.metrics["skill"], job.metrics.get("skill_low"), max(others, default=None))


def _row(job: ManifestJob, axis: SkillAxis | None, skill: Skill | None, *, detailed: bool, mixed: bool) -> PageRow:
    gate, gate_kind, missed = describe_gate(job.gate)
    chart = axis.row(skill) if axis and skill else ""
    numbers: dict[str, Any] = {}
    for name, value, form in (
        ("skill", skill.skill if skill else None, "+.4f"),
        ("baseline", skill.baseline if skill else None, "+.4f"),
        ("epochs", job.epochs, ","),
        ("seconds", job.seconds, ",.0f"),
        ("memory", job.peak_memory_bytes / 2**20 if job.peak_memory_bytes else None, ",.0f"),
    ):
        if value is not None:
            unit = {"seconds": " s", "memory": " MiB"}.get(name, "")
            numbers |= {name: f"{value:{form}}{unit}", f"{name}_value": repr(value)}
    return PageRow(
        job=job.job,
        symbol=job.symbol,
        preset=job.preset,
        state=job.state,
        kind="good" if job.state in ("done", "skipped") else "bad" if job.state in ("failed", "interrupted") else "",
        synthetic=job.synthetic and mixed,
        detailed=detailed,
        chart=Markup(chart),  # noqa: S704  drawn from numbers
        gate=gate,
        gate_kind=gate_kind,
        why=" · ".join(filter(None, (job.category, job.reason, missed))),
        fit="" if job.fit_seconds is None else f"{job.fit_seconds:,.1f} s of them in the fit",
        **numbers,
    )


def _stages(results: Mapping[str, Result]) -> Iterator[StageRow]:
    seconds: dict[str, list[float]] = {}
    for result in results.values():
        for stage in result.stages:
            seconds.setdefault(stage.name, []).append(stage.seconds)
    for name in sorted(seconds, key=lambda name: name == TOTAL_STAGE):
        yield StageRow(name, f"{statistics.median(seconds[name]):,.1f}", f"{sum(seconds[name]):,.1f}")
