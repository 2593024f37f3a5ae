"""What the store's page shows, computed from its runs and champions: plain values for the template."""

from __future__ import annotations

import re
import shlex
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from urllib.parse import quote

from markupsafe import Markup

from atb.contract import keys
from atb.documents.manifest import State
from atb.registry.betting import BEHIND_BOUND, e_value
from atb.registry.record import Live, is_behind
from launcher.report.guide import Step
from launcher.report.views.cells import Cell, Row, Table
from launcher.report.views.charts import Skill, SkillAxis, make_axis
from launcher.report.views.trend import Point, trend_chart

_SCHEDULED = re.compile(r"(.+)-\d{8}-\d{6}")
"""How a schedule names its runs."""
_DONE: tuple[State, ...] = ("done", "skipped")
_LATE = 2.5
"""A schedule is late when its last success is older than this number of its usual periods."""


@dataclass(frozen=True)
class NightJob:
    """What the index needs of a job."""

    state: State
    category: str
    skill: float | None
    passed: bool
    symbol: str


@dataclass(frozen=True)
class Run:
    """A run as the index reads it. ``problem``: why nothing more is known. ``serving``: champions that it made."""

    run: str
    planned: datetime | None
    jobs: tuple[NightJob, ...]
    problem: str = ""
    page: bool = False
    serving: int = 0
    held_seconds: float | None = None
    trained: int = 0
    gpus: int = 0

    @property
    def complete(self) -> bool:
        """Whether every job has a model."""
        return bool(self.jobs) and all(job.state in _DONE for job in self.jobs)

    @property
    def skill(self) -> float | None:
        """The median skill of the models that this run trained."""
        known = [job.skill for job in self.jobs if job.state == "done" and job.skill is not None]
        return statistics.median(known) if known else None

    @property
    def cost(self) -> float | None:
        """Seconds held for each model that it trained; of GPUs, where it had any."""
        return None if self.held_seconds is None or not self.trained else self.held_seconds / self.trained


@dataclass(frozen=True)
class Index:
    """Everything on the page."""

    store: str
    written: str
    command: str
    next_steps: tuple[Step, ...]
    tables: tuple[Table, ...]
    trends: tuple[Markup, ...]
    problems: tuple[str, ...]


def build_index(
    store: str, runs: Sequence[Run], lives: Sequence[Live], now: datetime, where: Sequence[str], problems: Sequence[str]
) -> Index:
    """The page. ``runs``: the latest ones; ``where``: the options that name the store in commands."""
    ordered = sorted(runs, key=lambda run: (run.planned is not None, run.planned or now, run.run), reverse=True)
    schedules = tuple(_schedule_rows(ordered, now))
    axis = make_axis(filter(None, map(_live_skill, lives)))
    champions = tuple(row for live in lives if (row := _champion_row(live, axis)) is not None)
    unreadable = [*problems, *(live.problem for live in lives if live.problem)]
    return Index(
        store=store,
        written=f"{now:%Y-%m-%d %H:%M}",
        command=shlex.join(["atb-launch", "page", *where]),
        next_steps=tuple(_next_steps(ordered, lives, where)),
        tables=(
            Table("schedules", "Schedules", "A success is a run in which every job has a model.",
                  ("schedule", "last run", "last success", "usual period", "successes"), schedules,
                  "No run here has the name of a schedule."),
            Table("champions", "Champions", "The live record is over bars that closed after each champion's cut; a "
                  f"demotion begins at evidence of {BEHIND_BOUND:,.0f} against it.{_describe_axis(axis)}",
                  ("model", "serving since", "run", "promised skill", "live skill", "drawn", "live rows",
                   "evidence against", "days since its cut"), champions,
                  "No model serves yet; let one with: atb models promote RUN SYMBOL"),
            Table("runs", "Runs", f"The latest {len(ordered):,}. Cost is the time held for each model trained.",
                  ("run", "planned, UTC", "done", "missing", "why", "passed the gate", "serving now", "median skill",
                   "cost a model"), tuple(map(_run_row, ordered)), "There are no runs yet."),
        ),
        trends=tuple(_trends(ordered)),
        problems=tuple(unreadable),
    )  # fmt: skip


def schedule_of(run: str) -> str | None:
    """The schedule that a run is named after; None where its name is not one that schedules give."""
    found = _SCHEDULED.fullmatch(run)
    return found[1] if found else None


def _next_steps(runs: Sequence[Run], lives: Sequence[Live], where: Sequence[str]) -> Iterator[Step]:
    latest = runs[0] if runs else None
    if latest is None:
        yield Step("Train the first models.", shlex.join(["atb-launch", "--symbols", "BTCUSDT", *where]))
        return
    if latest.problem:
        yield Step(f"Collect {latest.run}.", shlex.join(["atb-launch", "collect", latest.run, *where]))
    elif not latest.complete:
        yield Step(f"See what {latest.run} lacks.", shlex.join(["atb-launch", "status", latest.run, *where]))
    for live in lives:
        if live.champion is not None and live.record is not None and is_behind(live.record) and live.champion.fallback:
            words = ["atb", "models", "rollback", *live.model_key.words]
            text = f"{live.model_key} is behind its bar: let the model before it serve."
            yield Step(text, shlex.join([*words, *where]))
    if latest.complete:
        passed = next((job for job in latest.jobs if job.passed), None)
        if passed is not None and not latest.serving:
            words = ["atb", "models", "promote", latest.run, passed.symbol]
            yield Step(f"Let {passed.symbol} serve; it passed the gate.", shlex.join([*words, *where]))


def _schedule_rows(runs: Sequence[Run], now: datetime) -> Iterator[Row]:
    by_name: dict[str, list[Run]] = {}
    for run in runs:
        if (name := schedule_of(run.run)) is not None and run.planned is not None:
            by_name.setdefault(name, []).append(run)
    for name, own in sorted(by_name.items()):
        good = [run for run in own if run.complete]
        period = _period(own)
        last = next(iter(good), None)
        late = last is None or (period is not None and last.planned is not None and now - last.planned > _LATE * period)
        if last is None:
            success = Cell("none", "", "bad")
        else:
            success = Cell(_when(last), "", "bad" if late else "good", _page_of(last))
        yield Row(
            f"schedule-{name}",
            (
                Cell(name),
                Cell(_when(own[0]), "", "", _page_of(own[0])),
                success,
                Cell(_length(period), repr(period.total_seconds() if period else 0.0)),
                Cell(f"{len(good)} of {len(own)}", repr(len(good) / len(own))),
            ),
        )


def _period(runs: Sequence[Run]) -> timedelta | None:
    times = sorted(run.planned for run in runs if run.planned is not None)
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    return timedelta(seconds=statistics.median(gaps)) if gaps else None


def _live_skill(live: Live) -> Skill | None:
    """A champion's live skill as the dot, the promised one as the tick beside it."""
    if live.champion is None or live.record is None:
        return None
    return Skill(live.record.skill, None, live.champion.metrics.get("skill"))


def _describe_axis(axis: SkillAxis | None) -> str:
    if axis is None:
        return ""
    low, high = (format(end, "+.3g") if end else "0" for end in (axis.low, axis.high))
    return f" Drawn on one axis from {low} to {high}: the dot is the live skill, the tick the promised one, the line 0."


def _champion_row(live: Live, axis: SkillAxis | None) -> Row | None:
    champion, record = live.champion, live.record
    if champion is None:
        return None
    promised = champion.metrics.get("skill", 0.0)
    if record is None:
        lived = (Cell("–"), Cell(""), Cell("none yet", "0"), Cell("–"), Cell("–"))
    else:
        behind, skill = is_behind(record), _live_skill(live)
        drawn = axis.row(skill, "promised") if axis and skill else ""
        against = e_value(record.log_behind)
        lived = (
            Cell(f"{record.skill:+.4f}", repr(record.skill)),
            Cell(Markup(drawn), repr(record.skill), "chart"),  # noqa: S704  drawn from numbers
            Cell(f"{record.total_rows:,}", repr(record.total_rows)),
            Cell(f"{against:,.3g}", repr(against), "bad" if behind else ""),
            Cell(f"{record.days}", repr(record.days)),
        )
    made_up = " (made up)" if champion.synthetic else ""
    return Row(
        f"champion-{live.model_key}".replace(" ", "-"),
        (
            Cell(f"{live.model_key}{made_up}"),
            Cell(f"{champion.promoted:%Y-%m-%d %H:%M}"),
            Cell(champion.run, "", "", f"{quote(keys.report(champion.run))}#{quote(champion.job)}"),
            Cell(f"{promised:+.4f}", repr(promised)),
            *lived,
        ),
    )


def _run_row(run: Run) -> Row:
    states = Counter(job.state for job in run.jobs)
    done, missing = sum(states[state] for state in _DONE), sum(states.values()) - sum(states[s] for s in _DONE)
    causes = Counter(job.category or job.state for job in run.jobs if job.state not in _DONE)
    why = run.problem or ", ".join(f"{name} {count}" for name, count in causes.most_common(3))
    passed = sum(job.passed for job in run.jobs)
    skill, cost = run.skill, run.cost
    unit = " GPU-s" if run.gpus else " s"
    return Row(
        f"run-{run.run}",
        (
            Cell(run.run, "", "", _page_of(run)),
            Cell(f"{run.planned:%Y-%m-%d %H:%M}" if run.planned else "–"),
            Cell(f"{done:,}", repr(done), "good" if run.complete else ""),
            Cell(f"{missing:,}", repr(missing), "bad" if missing else ""),
            Cell(why),
            Cell(f"{passed:,}", repr(passed)),
            Cell(f"{run.serving:,}", repr(run.serving)),
            Cell("" if skill is None else f"{skill:+.4f}", "" if skill is None else repr(skill)),
            Cell("" if cost is None else f"{cost:,.1f}{unit}", "" if cost is None else repr(cost)),
        ),
    )


def _trends(runs: Sequence[Run]) -> Iterator[Markup]:
    nights = [run for run in reversed(runs) if run.planned is not None]
    unit = "GPU-s" if any(run.gpus for run in nights) else "s"

    def points(values: Sequence[float | None]) -> list[Point]:
        return [
            Point(run.planned, value, run.run)
            for run, value in zip(nights, values, strict=True)
            if value is not None and run.planned is not None
        ]

    drawn = (
        trend_chart("Median skill of the models trained", points([run.skill for run in nights]), "+.3f"),
        trend_chart("Models that passed the gate", points([_share(run) for run in nights]), ".0%"),
        trend_chart(f"Cost: {unit} held for each model trained", points([run.cost for run in nights]), ",.0f"),
        trend_chart("Jobs without a model", points([_missing(run) for run in nights]), ".0f", whole=True),
    )
    yield from (Markup(chart) for chart in drawn if chart)  # noqa: S704  numbers, and names escaped


def _share(run: Run) -> float | None:
    known = [job for job in run.jobs if job.skill is not None]
    return sum(job.passed for job in known) / len(known) if known else None


def _missing(run: Run) -> float | None:
    return float(sum(job.state not in _DONE for job in run.jobs)) if run.jobs else None


def _page_of(run: Run) -> str:
    return quote(keys.report(run.run)) if run.page else ""


def _when(run: Run) -> str:
    return f"{run.planned:%Y-%m-%d %H:%M}" if run.planned else "–"


def _length(period: timedelta | None) -> str:
    """``24 h``, ``7 days``; a dash where it is not known."""
    if period is None:
        return "–"
    hours = period.total_seconds() / 3600
    return f"{hours:.3g} h" if hours < 49 else f"{hours / 24:.3g} days"
