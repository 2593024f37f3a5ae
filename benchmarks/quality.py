"""Skill and directional accuracy by preset and feature set on twelve markets: the table of docs/quality.md.

    python -m benchmarks.quality --bars ../shared/bars/perp --store build/quality --presets fast,balanced

Trains what is not in the store yet, so that it can be stopped and resumed, or run with another preset later.
"""

from __future__ import annotations

import argparse
import math
import statistics
import subprocess
import sys
from collections.abc import Iterator

from atb.documents.comparison import Comparison, PresetResult
from atb.storage import DirectoryStore
from benchmarks.bars import add_bars, real_bars

SYMBOLS = ["ADA", "APT", "BNB", "BTC", "DOGE", "ETH", "LINK", "LTC", "RENDER", "SOL", "TRX", "XRP"]
SETS = ("classic", "relative")
AS_OF, DAYS = "2026-03-25", "180"


def main() -> None:
    """Compare the presets for each feature set, and print both in one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_bars(parser)
    parser.add_argument("--store", required=True)
    parser.add_argument("--presets", default="fast,balanced,quality,legacy")
    parser.add_argument("--epochs", type=int, help="end each training here, where the published number takes hours")
    options = parser.parse_args()
    for features in SETS:
        words = [sys.executable, "-m", "trainer.cli", "compare", *(f"{symbol}USDT" for symbol in SYMBOLS)]
        words += ["--presets", options.presets, "--source", f"files:{real_bars(options.bars)}", "--market", "um"]
        words += ["--days", DAYS, "--as-of", AS_OF, "--set", f"features={features}"]
        words += ["--set", f"epochs={options.epochs}"] if options.epochs else []
        subprocess.run([*words, "--run", features, "--store", options.store], check=True, stdout=subprocess.DEVNULL)
    store = DirectoryStore(options.store)
    found = {
        features: Comparison.from_bytes(store.get(f"runs/{features}/comparison.json"), features) for features in SETS
    }
    for line in table(found):
        print(line)
    for line in differences(found):
        print(line)


def table(found: dict[str, Comparison]) -> Iterator[str]:
    """Skill and directional accuracy by symbol, as Markdown."""
    columns = [(preset, features) for preset in found[SETS[0]].presets for features in SETS]
    yield f"| | {' | '.join(' '.join(column) for column in columns)} | linear |"
    yield f"|---|{'---:|' * (len(columns) + 1)}"
    for symbol in found[SETS[0]].rows:
        models = [_of(found[features], preset, symbol) for preset, features in columns]
        cells = [_cell(model.metrics) for model in models] + [_cell(models[0].baselines["linear"])]
        yield f"| {symbol} | {' | '.join(cells)} |"
    means = [_mean_cell([each.metrics for each in _all(found[features], preset)]) for preset, features in columns]
    linear = _mean_cell([each.baselines["linear"] for each in _all(found[SETS[0]], columns[0][0])])
    yield f"| mean | {' | '.join([*means, linear])} |"


def differences(found: dict[str, Comparison]) -> Iterator[str]:
    """How much larger the RMSE is with the second set than with the first, and the best lower bound of a skill."""
    for preset in found[SETS[0]].presets:
        logs = [
            math.log(_of(found[SETS[1]], preset, symbol).metrics["rmse"] / one.metrics["rmse"])
            for symbol, one in ((one.symbol, one) for one in _all(found[SETS[0]], preset))
        ]
        error = statistics.stdev(logs) / math.sqrt(len(logs))
        best = max(each.metrics["skill_low"] for features in SETS for each in _all(found[features], preset))
        yield (
            f"{preset}: RMSE with {SETS[1]} over {SETS[0]} {statistics.mean(logs):+.2%} ± {error:.2%}; "
            f"best skill_low {best:+.4f}"
        )


def _all(comparison: Comparison, preset: str) -> list[PresetResult]:
    return [each for each in comparison.trained if each.preset == preset]


def _of(comparison: Comparison, preset: str, symbol: str) -> PresetResult:
    return next(each for each in _all(comparison, preset) if each.symbol == symbol)


def _cell(metrics: dict[str, float]) -> str:
    return f"{metrics['skill']:+.4f} · {metrics['directional_accuracy']:.1%}"


def _mean_cell(metrics: list[dict[str, float]]) -> str:
    return _cell({name: statistics.mean(each[name] for each in metrics) for name in ("skill", "directional_accuracy")})


if __name__ == "__main__":
    main()
