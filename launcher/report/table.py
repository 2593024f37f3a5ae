"""What a run came to, as a table for a terminal, with what does not fit into one below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from atb.documents.manifest import Manifest, ManifestJob
from atb.documents.plan import Plan
from atb.schema import printable
from launcher.report.live_table import STYLES

_NUMBERS = 68
"""Columns that all but the symbol take at most."""
_MOST_LINES = 40
"""Jobs of which each has its lines below the table; of more, only those that need eyes."""


def print_manifest(console: Console, manifest: Manifest, store_url: str) -> None:
    """The table, each failure's reason and each model's place."""
    console.print(build_table(manifest.jobs, console.width))
    for job in manifest.jobs:
        if job.reason and job.state not in ("done", "skipped"):
            words = (
                f"{job.job} {job.state} ({job.category}): {job.reason}" if job.category else f"{job.job}: {job.reason}"
            )
            _say(console, words, STYLES[job.state])
    told = {job.reason for job in manifest.jobs}
    for problem in manifest.problems:
        if problem.problem not in told:
            _say(console, f"unreadable: {problem.problem}", "red")
    for line in _places(manifest, store_url):
        _say(console, line)
    if made_up := sum(job.synthetic for job in manifest.jobs):
        some = "These" if made_up == len(manifest.jobs) else f"{made_up} of these"
        _say(console, f"{some} models were trained on made-up bars: their numbers say nothing of a market.", "yellow")


def build_table(jobs: Sequence[ManifestJob], width: int) -> Table:
    """One row a job, in ``width`` columns; a long symbol gives way to the numbers.

    RMSE is in the price's unit, MAPE in percent; skill 0 is as good as the last close.
    """
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("symbol", no_wrap=True, overflow="ellipsis", max_width=max(8, width - _NUMBERS))
    table.add_column("preset", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for name in ("epochs", "test RMSE", "MAPE %", "skill", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    for job in jobs:
        table.add_row(
            Text(job.symbol),
            job.preset,
            Text(job.state, style=STYLES[job.state]),
            "" if job.epochs is None else str(job.epochs),
            _number(job, "rmse", ".5g"),
            _number(job, "mape", ".3f"),
            _number(job, "skill", "+.4f"),
            format_seconds(job.seconds),
        )
    return table


def plan_lines(plan: Plan) -> Iterator[str]:
    """A dry run's table: plain lines, as quick for a thousand jobs as for one."""
    width = max(len(job.job) for job in plan.jobs)
    for job in plan.jobs:
        spec = job.spec
        what = f"{spec.epochs} epochs, {spec.expected_bars:,} bars" if job.action == "run" else job.reason
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
        yield f"{job.job}  {store_url}/{job.model}"


def _number(job: ManifestJob, name: str, form: str) -> str:
    return format(job.metrics[name], form) if name in job.metrics else ""


def _say(console: Console, line: str, style: str = "") -> None:
    console.print(Text(printable(line, 2_000), style=style), soft_wrap=True)
