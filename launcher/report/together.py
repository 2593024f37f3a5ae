"""What a run's models show together, for the terminal and the page: the bound, the panel, and the live records."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from atb.contract import keys
from atb.documents.evidence import Panel, PanelNumbers, RunEvidence, TestRows
from atb.documents.manifest import Manifest, ManifestJob
from atb.documents.result import Candidate, Result
from atb.errors import AtbError
from atb.registry.betting import BEHIND_BOUND, e_value
from atb.registry.champions import ModelKey
from atb.registry.gate import hold_to
from atb.registry.ledger import read_rows
from atb.registry.record import Live
from atb.registry.weigh import Weighed, shown_by_job
from atb.storage import Store
from launcher.records.run_record import READERS, RunRecord
from launcher.report.panel import FEWEST_SYMBOLS, judge_panel

_AT_ONCE = 64
"""Results held at a time."""
_MOST_SHOWN = 50
_DEFAULT_COST_BPS = 12.0
"""Fee and slippage of a trade where a result does not say."""


def write_evidence(store: Store, record: RunRecord, weighed: Weighed) -> RunEvidence:
    """Judge the panel, and keep it with what the candidates have shown, beside the manifest. Raises StoreError."""
    document = RunEvidence(
        run=record.plan.run,
        fdr=weighed.fdr,
        bound=weighed.bound,
        candidates=weighed.candidates,
        jobs=weighed.to_parts(),
        panels=tuple(_judge_panels(store, record)),
    )
    store.put(keys.run_evidence(record.plan.run), document.to_bytes())
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
        ", ".join(f"{band.coverage:.1%} of {band.level:g}" for band in record.bands) or "–",
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


def _judge_panels(store: Store, record: RunRecord) -> Iterator[Panel]:
    """One panel for each timeframe, preset, target and horizon that enough symbols were trained for."""
    sizes: dict[str, int] = defaultdict(int)
    for planned in record.plan.to_run:
        sizes[_group(ModelKey.of(planned.spec))] += 1
    if max(sizes.values(), default=0) < FEWEST_SYMBOLS:
        return
    costs: dict[str, float | None] = {}
    groups: dict[str, dict[str, TestRows]] = defaultdict(dict)

    def read(result: Candidate | Result) -> TestRows | None:
        try:
            return read_rows(store, result)
        except AtbError:
            return None

    results = record.read_candidates(store)
    with ThreadPoolExecutor(READERS) as pool:
        while some := list(islice(results, _AT_ONCE)):  # a pool takes all it is given at once: never all are held
            for result, rows in zip(some, pool.map(read, some), strict=True):
                if rows is not None:
                    group = _group(ModelKey.of(result.spec))
                    groups[group][result.spec.symbol] = rows
                    costs[group] = _cost(result)
    for group, symbols in groups.items():
        panel = judge_panel(group, symbols, costs[group])
        if panel is not None:
            yield panel


def _cost(result: Candidate | Result) -> float | None:
    """The share lost of what is traded; None for volatility, which is not traded on."""
    if result.spec.target == "volatility":
        return None
    terms = result.backtest.rules
    return (terms.fee_bps + terms.slippage_bps if terms else _DEFAULT_COST_BPS) / 10_000


def _group(model_key: ModelKey) -> str:
    """A model key without its symbol."""
    return str(model_key).removeprefix(f"{model_key.symbol} ")
