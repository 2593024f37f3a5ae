"""Tables in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from atb.documents.champion import Champion
    from atb.documents.evaluation import ForecastComparison
    from atb.documents.record import RecordEntry


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell, so that a line stays one line when piped."""
    from atb.table import Column, table_lines

    for line in table_lines([Column(name) for name in head], rows):
        click.echo(line)


def champion_row(champion: Champion, record: RecordEntry | None) -> tuple[str, ...]:
    """A champion as a row of ``atb models list``, with its live record beside the promise."""
    from atb.registry.record import describe_coverage

    name, best = min(champion.baselines.items(), key=lambda each: each[1]["rmse"])
    return (
        champion.symbol + (" (made up)" if champion.synthetic else ""),
        champion.timeframe,
        champion.preset,
        f"{champion.target} {champion.horizon}" + (f" {champion.market}" if champion.market != "spot" else ""),
        _number(champion.metrics, "skill", "+.4f"),
        f"{_number(best, 'skill', '+.4f')} {name}",
        f"{record.skill:+.4f}" if record else "–",
        describe_coverage(champion, record)[-1] if record and record.bands else "–",
        f"{record.total_rows:,}" if record else "–",
        f"{record.days}" if record else "–",
        f"{champion.as_of:%Y-%m-%d %H:%M}",
        champion.run,
        f"{champion.promoted:%Y-%m-%d %H:%M}",
        champion.by,
    )


def print_comparison(found: ForecastComparison, one: str, other: str) -> None:
    """Two models' metrics and trading on the same rows, side by side."""
    rows = [
        (name.replace("_", " "), _number(found.candidate, name, form), _number(found.champion, name, form))
        for name, form in (
            ("skill", "+.4f"),
            ("skill_low", "+.4f"),
            ("directional_accuracy", ".1%"),
            ("rmse", ".6g"),
            ("mape", ".4f"),
            ("qlike", ".4f"),
        )
        if name in found.candidate
    ]
    rows += [
        (
            f"trading: {name}",
            _number(found.candidate_trading, name, form),
            _number(found.champion_trading, name, form),
        )
        for name, form in (("return", "+.2%"), ("sharpe", "+.2f"), ("drawdown", ".1%"), ("trades", ".0f"))
        if found.candidate_trading
    ]
    print_table(("", one, other), rows)


def _number(values: dict[str, float], name: str, form: str) -> str:
    return format(values[name], form) if name in values else "–"
