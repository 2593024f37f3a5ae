"""What a run's models show together, for the terminal and the page: the bound, the panel, and the live records."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from atb.contract import keys
from atb.documents.evidence import Panel, PanelNumbers, RunEvidence, TestRows
from atb.documents.manifest import Manifest, ManifestJob
from atb.documents.plan import Plan
from atb.registry.betting import BEHIND_BOUND, e_value
from atb.registry.candidate import Candidate
from atb.registry.champions import ModelKey
from atb.registry.gate import hold_to
from atb.registry.record import Live, describe_coverage
from atb.registry.weigh import Weighed, shown_by_job
from atb.storage import Store
from launcher.report.panel import FEWEST_SYMBOLS, SymbolRows, judge_panel

MOST_ROWS = 2_000_000
"""Rows that a panel is judged by: of more, each symbol's latest."""
_MOST_SHOWN = 50
_DEFAULT_COST_BPS = 12.0
"""Fee and slippage of a trade where a result does not say."""


class PanelRows:
    """The test rows of a run, by model key without the symbol, where enough symbols were planned alike."""

    def __init__(self, plan: Plan) -> None:
        sizes = Counter(_group(ModelKey.of(planned.spec)) for planned in plan.to_run)
        self._most = {group: MOST_ROWS // size for group, size in sizes.items() if size >= FEWEST_SYMBOLS}
        self._groups: dict[str, dict[str, SymbolRows]] = defaultdict(dict)
        self._costs: dict[str, float | None] = {}

    def add(self, candidate: Candidate, rows: TestRows) -> None:
        """Take in one symbol's rows."""
        group = _group(candidate.model_key)
        if group in self._most:
            self._groups[group][candidate.model_key.symbol] = SymbolRows.of(rows, self._most[group])
            self._costs[group] = _cost(candidate)

    def judge(self) -> Iterator[Panel]:
        """A panel of each group that has one."""
        for group, symbols in self._groups.items():
            panel = judge_panel(group, symbols, self._costs[group])
            if panel is not None:
                yield panel


def write_evidence(store: Store, run: str, weighed: Weighed, rows: PanelRows) -> RunEvidence:
    """Judge the panel, and keep it with what the candidates have shown, beside the manifest. Raises StoreError."""
    document = RunEvidence(
        run=run,
        fdr=weighed.fdr,
        bound=weighed.bound,
        candidates=weighed.candidates,
        jobs=weighed.to_parts(),
        panels=tuple(rows.judge()),
    )
    store.put(keys.run_evidence(run), document.to_bytes())
    return document


def decide_gates(manifest: Manifest, evidence: RunEvidence | None) -> Manifest:
    """The manifest with the run's decision in each candidate's gate: its job judged it as if it were alone, and what
    counts is the bound that all candidates are held to together."""
    shown = shown_by_job(evidence)

    def decide(job: ManifestJob) -> ManifestJob:
        if job.job not in shown or not job.gate:
            return job
        return job.model_copy(update={"gate": hold_to(job.gate, shown[job.job])})

    return manifest.model_copy(update={"jobs": tuple(map(decide, manifest.jobs))})


def evidence_line(evidence: RunEvidence) -> str:
    """How many candidates reach the bound, as it was when the run was last collected."""
    reached = sum(each.log_e is not None and each.log_e >= math.log(evidence.bound) for each in evidence.jobs)
    return (
        f"{reached:,} of {evidence.candidates:,} candidates reach an e-value of {evidence.bound:,.0f}, the bound at a "
        f"false-discovery rate of {evidence.fdr:g}"
    )


def panel_lines(panels: Sequence[Panel]) -> Iterator[str]:
    """A line for each panel and one for its linear baseline, as a terminal shows them."""
    for panel in panels:
        yield f"panel {panel.name}: {panel.symbols} symbols, {panel.hours:,} hours: {_words(panel.model)}"
        if panel.linear is not None:
            yield f"panel {panel.name}, linear baseline: {_words(panel.linear)}"


@dataclass(frozen=True)
class Together:
    """The section of the page, as text: the bound, the strongest evidence, the panels, and what serves."""

    bound: str
    shown: tuple[tuple[str, ...], ...]
    panels: tuple[tuple[str, ...], ...]
    live: tuple[tuple[str, ...], ...]
    demotion: str = f"{BEHIND_BOUND:,.0f}"


def build_together(evidence: RunEvidence | None, lives: Sequence[Live]) -> Together | None:
    """None where there is nothing to show."""
    live = tuple(filter(None, map(_live_row, lives)))
    if evidence is None and not live:
        return None
    if evidence is None:
        return Together("", (), (), live)
    known = [(job, job.log_e) for job in evidence.jobs if job.log_e is not None]
    best = sorted(known, key=lambda each: -each[1])[:_MOST_SHOWN]
    return Together(
        bound=f"{evidence_line(evidence)}.",
        shown=tuple((job.job, f"{e_value(log_e):,.4g}", f"{job.rows:,}", f"{job.models:,}") for job, log_e in best),
        panels=tuple(row for panel in evidence.panels for row in _panel_rows(panel)),
        live=live,
    )


def _live_row(live: Live) -> tuple[str, ...] | None:
    champion, record = live.champion, live.record
    if champion is None or record is None:
        return None
    drift = max(record.drift.items(), key=lambda each: each[1], default=None)
    return (
        str(live.model_key),
        champion.run,
        f"{champion.metrics.get('skill', 0.0):+.4f}",
        f"{record.skill:+.4f}",
        f"{record.total_rows:,}",
        f"{e_value(record.log_behind):,.3g}",
        ", ".join(describe_coverage(champion, record)) or "–",
        f"{drift[0]} {drift[1]:.2f}" if drift else "–",
        f"{record.days}",
    )


def _panel_rows(panel: Panel) -> Iterator[tuple[str, ...]]:
    for name, numbers in ((panel.name, panel.model), (f"{panel.name}, linear", panel.linear)):
        if numbers is not None:
            yield (
                name,
                f"{panel.symbols}",
                f"{panel.hours:,}",
                f"{numbers.skill:+.4f} (t {numbers.skill_t:+.1f})",
                f"{numbers.rank_ic:+.4f} (t {numbers.rank_ic_t:+.1f})",
                _long_short(numbers) or "–",
            )


def _words(numbers: PanelNumbers) -> str:
    found = (
        f"skill {numbers.skill:+.4f} (t {numbers.skill_t:+.1f})",
        f"rank IC {numbers.rank_ic:+.4f} (t {numbers.rank_ic_t:+.1f})",
        f"long–short, bps {earned}" if (earned := _long_short(numbers)) else "",
    )
    return ", ".join(filter(None, found))


def _long_short(numbers: PanelNumbers) -> str:
    """Empty for a target that is not traded."""
    if numbers.long_short_bps is None or numbers.long_short_t is None:
        return ""
    return f"{numbers.long_short_bps:+.2f} (t {numbers.long_short_t:+.1f})"


def _cost(candidate: Candidate) -> float | None:
    """The share lost of what is traded; None for volatility, which is not traded on."""
    if candidate.model_key.target == "volatility":
        return None
    return (_DEFAULT_COST_BPS if candidate.cost_bps is None else candidate.cost_bps) / 10_000


def _group(model_key: ModelKey) -> str:
    """A model key without its symbol."""
    return str(model_key).removeprefix(f"{model_key.symbol} ")
