"""Volatility on twelve markets: the nets beside persistence, HAR and the best baseline, as in docs/quality.md.

    python -m benchmarks.volatility --bars ../shared/bars/perp --store build/volatility --presets fast

Trains what is not in the store yet, so that it can be stopped and resumed. ``--table`` prints what is there.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import sys
from collections.abc import Iterator

from atb.contract import keys
from atb.documents.result import Result
from atb.errors import NotFound
from atb.registry.gate import hold_to, passes
from atb.registry.weigh import read_evidence, shown_by_job
from atb.storage import DirectoryStore, Store
from benchmarks.bars import add_bars, real_bars

SYMBOLS = ["ADA", "APT", "BNB", "BTC", "DOGE", "ETH", "LINK", "LTC", "RENDER", "SOL", "TRX", "XRP"]
AS_OF = "2026-03-25"
DAYS = {1: "180", 24: "240"}
"""By horizon: a bound needs 30 test rows a horizon apart, and 240 days are the fewest that have them for a day."""
RESIDUALS = ("none", "har")


def main() -> None:
    """Train what is missing, then print a table for each horizon."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_bars(parser)
    parser.add_argument("--store", required=True)
    parser.add_argument("--presets", default="fast")
    parser.add_argument("--horizons", default="1,24")
    parser.add_argument("--residuals", default=",".join(RESIDUALS))
    parser.add_argument("--epochs", type=int, help="end each training here, where the published number takes hours")
    parser.add_argument("--max-parallel", default="1")
    parser.add_argument("--table", action="store_true", help="print only")
    options = parser.parse_args()
    store = DirectoryStore(options.store)
    for horizon in map(int, options.horizons.split(",")):
        for residual in options.residuals.split(","):
            if not options.table:
                run(store, options, horizon, residual)
        for line in table(store, horizon, options.presets.split(","), options.residuals.split(",")):
            print(line, flush=True)


def name_of(horizon: int, residual: str) -> str:
    """The run of one horizon and residual."""
    return f"h{horizon}-{residual}"


def run(store: Store, options: argparse.Namespace, horizon: int, residual: str) -> None:
    """Train every market, or those that are missing."""
    name, words = name_of(horizon, residual), [sys.executable, "-m", "launcher.cli", "--store", options.store]
    try:
        store.get(keys.plan(name))
        words += ["--resume", name]
    except NotFound:
        words += ["--run", name, "--symbols", ",".join(f"{symbol}USDT" for symbol in SYMBOLS)]
        words += ["--presets", options.presets, "--source", f"files:{real_bars(options.bars)}", "--market", "um"]
        words += ["--days", DAYS[horizon], "--as-of", AS_OF, "--target", "volatility", "--horizon", str(horizon)]
        words += ["--residual", residual] + (["--epochs", str(options.epochs)] if options.epochs else [])
    words += ["--backend", "local", "--max-parallel", options.max_parallel, "--yes"]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def table(store: Store, horizon: int, presets: list[str], residuals: list[str]) -> Iterator[str]:
    """Markdown: skill over persistence, over HAR and over the best baseline, each with its lower bound in brackets."""
    columns = [(preset, residual) for preset in presets for residual in residuals]
    found: dict[tuple[str, str, str], Result] = {}
    for preset, residual in columns:
        for symbol in SYMBOLS:
            key = keys.result(name_of(horizon, residual), keys.job_id(f"{symbol}USDT", preset))
            with contextlib.suppress(NotFound):
                found[preset, residual, symbol] = Result.from_bytes(store.get(key), key)
    yield f"\n{DAYS[horizon]} days, horizon {horizon}\n"
    heads = (f"{preset} {residual}: {what}" for preset, residual in columns for what in ("persistence", "HAR", "best"))
    yield f"| | HAR | best baseline | {' | '.join(heads)} |"
    yield f"|---|---:|---:|{'---:|' * (3 * len(columns))}"
    for symbol in SYMBOLS:
        results = [found.get((preset, residual, symbol)) for preset, residual in columns]
        some = next((result for result in results if result is not None), None)
        if some is None:
            continue
        best = next(iter(some.baselines))
        cells = [cell for result in results for cell in _cells(result)]
        har = f"{some.baselines['har']['skill']:+.3f}"
        yield f"| {symbol} | {har} | {best} {some.baselines[best]['skill']:+.3f} | {' | '.join(cells)} |"
    for column in columns:
        chosen = [result for key, result in found.items() if key[:2] == column]
        if chosen:
            yield from _summary(*column, chosen)
            yield _gate(store, name_of(horizon, column[1]), chosen)
            yield from _bands(chosen)


def _cells(result: Result | None) -> list[str]:
    if result is None:
        return ["–"] * 3
    over = result.evaluation.over
    best = next(iter(over))
    return [f"{over[name]['skill']:+.3f} ({over[name]['skill_low']:+.3f})" for name in ("persistence", "har", best)]


def _summary(preset: str, residual: str, results: list[Result]) -> Iterator[str]:
    count = len(results)
    skills = [result.metrics["skill"] for result in results]
    shown = sum(result.metrics["skill_low"] > 0 for result in results)
    better = sum(result.evaluation.over["har"]["skill"] > 1e-6 for result in results)
    near = sum(result.metrics["rmse"] <= 1.01 * next(iter(result.baselines.values()))["rmse"] for result in results)
    har = statistics.mean(result.baselines["har"]["skill"] for result in results)
    best = statistics.mean(next(iter(result.baselines.values()))["skill"] for result in results)
    coverage = statistics.mean(result.evaluation.bands["model"]["all"][-1].coverage for result in results)
    level = results[0].evaluation.bands["model"]["all"][-1].level
    weights = [result.fit.residual_weight for result in results if result.fit.residual_weight is not None]
    kept = ""
    if weights:
        kept = f"; {statistics.mean(weights):.0%} of the net's output is kept, none on {weights.count(0.0)}"
    yield (
        f"\n{preset}, residual {residual}, {count} markets: skill over persistence {statistics.mean(skills):+.4f} on "
        f"average (HAR {har:+.4f}, best baseline {best:+.4f}); shown on {shown}, better than HAR on {better}, at most "
        f"1 % behind the best baseline on {near}; the {level:g} band holds {coverage:.1%}{kept}"
    )


def _gate(store: Store, run: str, results: list[Result]) -> str:
    """How many reach the bound that all candidates of the run are held to together, and pass the whole gate."""
    shown = shown_by_job(read_evidence(store, run))
    reached = [result for result in results if result.job in shown and shown[result.job].reached]
    passed = [result.spec.symbol for result in reached if passes(hold_to(result.gate, shown[result.job]))]
    return (
        f"in this first night {len(reached)} reach the e-value that all are held to together, and {len(passed)} pass "
        f"the gate: {', '.join(passed) or 'none'}"
    )


def _bands(results: list[Result]) -> Iterator[str]:
    """Means over the markets: coverage over all and in the wild third, width and interval score, by who made them."""
    yield "\n| band | made by | coverage | wild third | width | score |"
    yield "|---:|---|---:|---:|---:|---:|"
    for number, first in enumerate(results[0].evaluation.bands["model"]["all"]):
        for who in results[0].evaluation.bands:
            whole = [result.evaluation.bands[who]["all"][number] for result in results]
            wild = [result.evaluation.bands[who]["wild"][number].coverage for result in results]
            shown = (
                f"{statistics.mean(each.coverage for each in whole):.1%}",
                f"{statistics.mean(wild):.1%}",
                f"{statistics.mean(each.width for each in whole):.2%}",
                f"{statistics.mean(each.score for each in whole):.2%}",
            )
            yield f"| {first.level:g} | {who} | {' | '.join(shown)} |"


if __name__ == "__main__":
    main()
