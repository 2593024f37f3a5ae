"""``python -m benchmarks.features``: classic and relative beside plain pandas, a Python loop and a bare copy.

On made-up bars of 44,000 and 1,000,000 rows, from bars to scaled rows:

    plain pandas    rolling means and ewm in float64, a scaler a column
    python loop     the same with the RSI as a loop over rows
    atb             compute_features and Scaler
    copy            one float64 copy of as many columns: the floor

Each runs in a process of its own; the best run is shown, with the peak of traced memory in a run apart.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import pandas as pd

from trainer.bars.frame import COLUMNS, Bars, Floats
from trainer.features.scaling import Scaler
from trainer.features.sets import Features, compute_features, feature_set

ROWS = (44_000, 1_000_000)
_ROWS_TIMED = 5_000_000
"""Small inputs are run more often, to be past the first touch of memory."""


def main() -> None:
    """Print one table; with a set, a name and rows, measure that alone."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--one", nargs=3, metavar=("SET", "WAY", "ROWS"), help=argparse.SUPPRESS)
    one = parser.parse_args().one
    if one:
        print(json.dumps(_measure(one[0], one[1], int(one[2]))))
        return
    for name in _BY_PANDAS:
        worst = max(_difference(name, rows) for rows in ROWS)
        print(f"{name}: differs from plain pandas by at most {worst:.1e} of each column's largest value")
    print("\n| rows | set | what | seconds | peak memory | times plain pandas' time | … memory |")
    print("|---|---|---|---|---|---|---|")
    for rows, name in itertools.product(ROWS, _BY_PANDAS):
        found = {}
        for what in ("plain pandas", "python loop", "atb", "copy"):
            command = [sys.executable, "-m", "benchmarks.features", "--one", name, what, str(rows)]
            found[what] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for what, (seconds, peak) in found.items():
            time_share, memory_share = seconds / found["plain pandas"][0], peak / found["plain pandas"][1]
            print(
                f"| {rows:,} | {name} | {what} | {seconds:.4f} | {peak / 2**20:,.0f} MiB "
                f"| {time_share:.2f} | {memory_share:.2f} |"
            )


def _measure(name: str, what: str, rows: int) -> tuple[float, float]:
    bars, features, by_pandas = make_bars(rows), feature_set(name), _BY_PANDAS[name]
    frame = pd.DataFrame(bars.values, columns=list(COLUMNS))
    wide = np.ones((rows, len(features.columns)))
    run: Callable[[], object] = {
        "atb": lambda: _scaled(compute_features(features, bars)),
        "plain pandas": lambda: _scale_each_column(by_pandas(frame, _pandas_rsi)),
        "python loop": lambda: _scale_each_column(by_pandas(frame, _loop_rsi)),
        "copy": wide.copy,
    }[what]
    best = min(_seconds(run) for _ in range(max(5, _ROWS_TIMED // rows)))
    tracemalloc.start()
    kept = run()
    peak = float(tracemalloc.get_traced_memory()[1])
    assert kept is not None
    return best, peak


def _seconds(run: Callable[[], object]) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def make_bars(rows: int) -> Bars:
    """A random walk with a body, wicks and volume."""
    rng = np.random.default_rng(0)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.002, rows)))
    opened = np.concatenate([[100.0], close[:-1]])
    high = np.maximum(opened, close) * (1 + rng.uniform(0, 0.002, rows))
    low = np.minimum(opened, close) * (1 - rng.uniform(0, 0.002, rows))
    values = np.column_stack([opened, high, low, close, rng.lognormal(5, 1, rows)])
    return Bars("BENCH", "1h", np.arange(rows, dtype=np.int64) * 3_600_000, values)


def _scaled(features: Features) -> Features:
    return Scaler.fit(features).transform(features)


def _pandas_classic(bars: pd.DataFrame, rsi: Callable[[pd.Series], pd.Series]) -> pd.DataFrame:
    out = bars.copy()
    for window in (7, 14, 30):
        out[f"sma_{window}"] = bars["close"].rolling(window).mean()
    out["rsi"] = rsi(bars["close"])
    return out.iloc[feature_set("classic").warmup :]


def _pandas_relative(bars: pd.DataFrame, rsi: Callable[[pd.Series], pd.Series]) -> pd.DataFrame:
    close, before, volume = bars["close"], bars["close"].shift(), bars["volume"]
    out = pd.DataFrame(index=bars.index)
    out["log_return"] = np.log(close / before)
    out["range"] = (bars["high"] - bars["low"]) / close
    out["body"] = (close - bars["open"]) / close
    for window in (7, 14, 30):
        out[f"sma_{window}_distance"] = close / close.rolling(window).mean() - 1
    out["rsi"] = rsi(close)
    out["macd_share"] = (_seeded_ewm(close, 12, 2 / 13) - _seeded_ewm(close, 26, 2 / 27)) / close
    true_range = bars["high"].clip(lower=before) - bars["low"].clip(upper=before)
    out["atr_share"] = _seeded_ewm(true_range.iloc[1:], 14, 1 / 14) / close
    out["volume_change"] = (volume - volume.shift()) / (volume + volume.shift())
    return out.iloc[feature_set("relative").warmup :]


def _seeded_ewm(x: pd.Series, period: int, weight: float) -> pd.Series:
    seeded = x.iloc[period - 1 :].copy()
    seeded.iloc[0] = x.iloc[:period].mean()
    return seeded.ewm(alpha=weight, adjust=False).mean()


def _pandas_rsi(close: pd.Series) -> pd.Series:
    moves = close.diff().iloc[1:]
    gain = _seeded_ewm(moves.clip(lower=0), 14, 1 / 14)
    loss = _seeded_ewm(-moves.clip(upper=0), 14, 1 / 14)
    return 100 * gain / (gain + loss)


def _loop_rsi(close: pd.Series) -> pd.Series:
    prices = close.tolist()
    moves = [after - before for before, after in itertools.pairwise(prices)]
    gain = sum(max(move, 0) for move in moves[:14]) / 14
    loss = sum(max(-move, 0) for move in moves[:14]) / 14
    strength = [100 * gain / (gain + loss)]
    for move in moves[14:]:
        gain = (13 * gain + max(move, 0)) / 14
        loss = (13 * loss + max(-move, 0)) / 14
        strength.append(100 * gain / (gain + loss))
    return pd.Series(strength, index=close.index[14:])


def _scale_each_column(frame: pd.DataFrame) -> pd.DataFrame:
    for name in frame.columns:
        frame[name] = (frame[name] - frame[name].mean()) / frame[name].std(ddof=0)
    return frame


def _difference(name: str, rows: int) -> float:
    bars, features, worst = make_bars(rows), feature_set(name), 0.0
    frame = pd.DataFrame(bars.values, columns=list(COLUMNS))
    ours: Floats = compute_features(features, bars)[features.warmup :].astype(np.float64)
    for rsi in (_pandas_rsi, _loop_rsi):
        wanted = _BY_PANDAS[name](frame, rsi).to_numpy()
        worst = max(worst, float((np.abs(ours - wanted).max(axis=0) / np.abs(wanted).max(axis=0)).max()))
    return worst


_BY_PANDAS = {"classic": _pandas_classic, "relative": _pandas_relative}


if __name__ == "__main__":
    main()
