"""The outcome of a run as a table for a terminal, with what does not fit below it."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import click

from atb.documents.manifest import Manifest, ManifestJob, Usage
from atb.documents.plan import Plan
from atb.schema import printable
from atb.table import Cell, Column, style, table_lines
from launcher.report.live_table import STYLES

_COLUMNS = (
    Column("symbol", gives=True),
    Column("preset"),
    Column("state"),
    *(Column(name, right=True) for name in ("epochs", "test RMSE", "baseline", "skill", "time")),
)
_GIVING = ("preset", "epochs", "baseline", "time")
"""Columns that a narrow terminal goes without, the first of them first; the page and the JSON have them. Of
several presets, theirs goes last: it says which row is which."""
_SYMBOL = 10
"""Characters of a symbol that a column is left out for."""
_MOST_LINES = 40
"""Jobs of which each has its lines below the table; of more, only those that need attention."""


def print_manifest(manifest: Manifest, store_url: str, most: int | None = None) -> None:
    """The table, each failure's reason and each model's place. A run of more than ``most`` jobs shows only those that
    need attention, and no more of them."""
    click.echo("\n".join(manifest_lines(manifest, store_url, shutil.get_terminal_size().columns, most)))


def manifest_lines(manifest: Manifest, store_url: str, width: int, most: int | None = None) -> Iterator[str]:
    """The table in ``width`` columns, and below it lines of any length."""
    shown: Sequence[ManifestJob] = manifest.jobs
    if most is not None and len(shown) > most:
        shown = [job for job in manifest.jobs if job.state not in ("done", "skipped")][:most]
    if shown:
        yield from job_lines(shown, width)
    if len(shown) < len(manifest.jobs):
        counts = Counter(job.state for job in manifest.jobs)
        words = ", ".join(f"{count} {state}" for state, count in counts.most_common())
        yield f"{words}; for all of them: atb-launch status {manifest.run}"
    for job in shown:
        if job.reason and job.state not in ("done", "skipped"):
            words = (
                f"{job.job} {job.state} ({job.category}): {job.reason}" if job.category else f"{job.job}: {job.reason}"
            )
            yield style(printable(words, 2_000), STYLES[job.state])
    reasons = {job.reason for job in manifest.jobs}
    for problem in manifest.problems:
        if problem.problem not in reasons:
            yield style(printable(f"unreadable: {problem.problem}", 2_000), "red")
    yield from _places(manifest, store_url)
    if manifest.usage is not None:
        yield f"use       {describe_usage(manifest.usage)}"
    if made_up := sum(job.synthetic for job in manifest.jobs):
        some = "These" if made_up == len(manifest.jobs) else f"{made_up} of these"
        yield style(f"{some} models were trained on made-up bars: their numbers say nothing of a market.", "yellow")


def describe_usage(usage: Usage) -> str:
    """``fit 92 s of 310 s held by 2 workers (30%): 3.1 s a model in the fit, 7.3 s in all the rest``. Where workers
    train side by side, it is the time of their slots that the fits share."""
    unit = "GPU-s" if usage.gpus else "s"
    held, held_unit, cost = usage.held_seconds, unit, ""
    count, kind = (usage.workers, "worker") if usage.workers else (usage.jobs, "job")
    who = f"{count} {kind}{'s' * (count != 1)}"
    if usage.slots > usage.workers:
        who += f" in {usage.slots} slots"
        cost = f"; {held / usage.jobs:.1f} {unit} a model" if usage.gpus else ""
        held, held_unit = usage.slot_seconds, "s"
    share = min(1.0, usage.fit_seconds / held) if held else 0.0
    fit, rest = (each / usage.jobs for each in (usage.fit_seconds, max(0.0, held - usage.fit_seconds)))
    words = f"fit {usage.fit_seconds:,.1f} s of {held:,.1f} {held_unit} held by {who} ({share:.0%})"
    words += f": {fit:.1f} s a model in the fit, {rest:.1f} {held_unit} in all the rest{cost}"
    return words + _describe_packing(usage, unit)


def _describe_packing(usage: Usage, unit: str) -> str:
    """What it saves to import once a worker and not once a model; what is compiled once comes on top."""
    each = usage.startup_seconds / (usage.workers or usage.jobs)
    saved = each * (usage.jobs - (usage.workers or 1))
    if saved < 1:
        return ""
    if usage.workers:
        return f"; importing once a worker and not once a model saved {saved:,.1f} {unit}"
    return f"; a worker (--workers 1) would import once and save {saved:,.1f} {unit}"


def job_lines(jobs: Sequence[ManifestJob], width: int) -> Iterator[str]:
    """One line per job. What gives way first where that is wider than the terminal are whole columns, then the end of a
    long symbol, and never a digit.

    RMSE is in the price's unit, or in logs of volatility; skill 0 is as good as persistence, and the best baseline's
    stands before the model's.
    """
    rows = [
        (
            job.symbol,
            job.preset,
            Cell(job.state, STYLES[job.state]),
            "" if job.epochs is None else str(job.epochs),
            _number(job, "rmse", ".5g"),
            _best_baseline(job),
            _number(job, "skill", "+.4f"),
            format_seconds(job.seconds),
        )
        for job in jobs
    ]
    kept = list(range(len(_COLUMNS)))
    several = len({job.preset for job in jobs}) > 1
    for name in (*_GIVING[1:], _GIVING[0]) if several else _GIVING:
        sizes = [max(len(_COLUMNS[place].name), *(_size(row[place]) for row in rows)) for place in kept if rows]
        if not rows or sum(sizes[1:]) + min(sizes[0], _SYMBOL) + 2 * (len(kept) - 1) <= width:
            break
        kept = [place for place in kept if _COLUMNS[place].name != name]
    shown = [[row[place] for place in kept] for row in rows]
    yield from table_lines([_COLUMNS[place] for place in kept], shown, width=width)


def _size(cell: str | Cell) -> int:
    return len(cell.text if isinstance(cell, Cell) else cell)


def plan_lines(plan: Plan, problems: Mapping[str, str] = MappingProxyType({})) -> Iterator[str]:
    """A dry run's table: plain lines, as quick for a thousand jobs as for one. ``problems``: what jobs would meet."""
    width = max(len(job.job) for job in plan.jobs)
    for job in plan.jobs:
        spec = job.spec
        what = f"{spec.epochs} epochs, {spec.expected_bars:,} bars" if job.action == "run" else job.reason
        what += f"; would fail: {problems[job.job]}" if job.job in problems else ""
        yield f"{job.job:<{width}}  {job.action:<4}  {what}"


def format_seconds(seconds: float | None) -> str:
    """``4.2s``, ``3m05s``, ``2h10m``."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02}m"


def _places(manifest: Manifest, store_url: str) -> Iterator[str]:
    found = [job for job in manifest.jobs if job.model]
    if len(found) > _MOST_LINES:
        yield f"models    {len(found)}, each at the key that the manifest names"
        return
    for job in found:
        yield printable(f"{job.job}  {store_url}/{job.model}", 2_000)


def _best_baseline(job: ManifestJob) -> str:
    skills = [metrics["skill"] for metrics in job.baselines.values() if "skill" in metrics]
    return format(max(skills), "+.4f") if skills else ""


def _number(job: ManifestJob, name: str, form: str) -> str:
    return format(job.metrics[name], form) if name in job.metrics else ""
