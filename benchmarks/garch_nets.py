"""Nets on series of known volatility, through a job's own steps: GARCH(1,1), and constant volatility.

    python -m benchmarks.garch_nets --seeds 3 --rows 20000 --epochs 3

For each seed and residual: the net's skill over persistence beside that of the true conditional volatility, and the
coverage of its 0.9 band, over all and in each third. Then how often a net shows skill over the train rows' mean where
volatility is constant.
"""

from __future__ import annotations

import argparse

import numpy as np

from atb.contract import timeframe as tf
from atb.contract.spec import resolve_spec
from atb.storage import MemoryStore
from benchmarks.garch import ALPHA, BETA, HOUR, simulate
from trainer.bars.frame import Bars, Floats, Times
from trainer.evaluate.metrics import skill, skill_low
from trainer.features.targets import target_values
from trainer.features.training_data import load_training_data, split_training_data
from trainer.fit.device import Device, prepare_device
from trainer.pipeline.judge import Judged, judge_model
from trainer.pipeline.learn import learn
from trainer.pipeline.stages import StageClock

WARM_UP = 200
"""Bars before the window, so that its first rows have their features."""
NOISE_ROWS, NOISE_SEEDS = 2_000, 20


class Simulated:
    """A simulated series as a source of bars."""

    name = "sample"
    synthetic = True
    live = False

    def __init__(self, bars: Bars) -> None:
        self.bars = bars

    def fetch(self, symbol: str, timeframe: str, market: str, start_ms: int, end_ms: int) -> Bars:
        """The rows of the window."""
        first, stop = np.searchsorted(self.bars.time, [start_ms, end_ms])
        return self.bars.rows(int(first), int(stop))


def train(
    rows: int, seed: int, epochs: int, residual: str, device: Device, garch: tuple[float, float] = (ALPHA, BETA)
) -> tuple[Judged, Floats, float]:
    """A net's judgement on the test rows of one series, the log of the volatility that each of them was drawn with, and
    the mean of the train rows' targets."""
    bars, volatility = simulate(rows, seed, *garch)
    spec = resolve_spec(
        "GARCH",
        "fast",
        {
            "source": "sample",
            "start": tf.from_epoch_ms(int(bars.time[WARM_UP])),
            "as_of": tf.from_epoch_ms(int(bars.time[-1]) + HOUR),
            "target": "volatility",
            "residual": residual,
            "epochs": epochs,
            "bands": "0.9",
        },
    )
    material = load_training_data(spec, MemoryStore(), Simulated(bars))
    split = split_training_data(spec, material)
    judged = judge_model(spec, material, learn(spec, material, split, device, StageClock(lambda stage: None)))

    def drawn(ends: Times) -> Floats:
        found: Floats = np.log(volatility[np.searchsorted(bars.time, material.bars.time[ends]) + 1])
        return found

    wanted = target_values(spec, material.bars, split.train)
    level = float(np.mean(wanted - drawn(split.train)))  # a range's log is not its volatility's
    return judged, drawn(split.test) + level, float(wanted.mean())


def measure(rows: int, seed: int, epochs: int, residual: str, device: Device) -> dict[str, float]:
    """Skill over persistence and coverage on the test rows of one GARCH series, one bar ahead."""
    judged, true, _ = train(rows, seed, epochs, residual, device)
    tested = judged.test.rows
    bands = judged.judgement.evaluation.bands["model"]
    return {
        "true": skill(tested.actual, true, tested.persistence),
        "har": judged.judgement.baselines["har"]["skill"],
        "net": judged.judgement.metrics["skill"],
        "0.9 band": bands["all"][0].coverage,
        **{name: bands[name][0].coverage for name in ("calm", "usual", "wild")},
    }


def shows_skill(rows: int, seed: int, epochs: int, residual: str, device: Device) -> bool:
    """Whether a net shows skill over the train rows' mean where volatility is constant."""
    judged, _, mean = train(rows, seed, epochs, residual, device, (0.0, 0.0))
    tested = judged.test
    return skill_low(tested.rows.actual, tested.predicted, np.full(len(tested.predicted), mean)) > 0


def main() -> None:
    """Print a line for each seed and residual, and the means."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    device = prepare_device("cpu")
    for residual in ("har", "none"):
        found = []
        for seed in range(options.seeds):
            found.append(measure(options.rows, seed, options.epochs, residual, device))
            if not seed:
                print(f"\n| {residual} |", " | ".join(found[0]), "|")
                print("|---:|" + "---:|" * len(found[0]))
            print(f"| {seed} |", " | ".join(f"{value:.3f}" for value in found[-1].values()), "|", flush=True)
        means = {name: np.mean([each[name] for each in found]) for name in found[0]}
        print("| mean |", " | ".join(f"{value:.3f}" for value in means.values()), "|", flush=True)
    for residual in ("har", "none"):
        shown = sum(shows_skill(NOISE_ROWS, seed, options.epochs, residual, device) for seed in range(NOISE_SEEDS))
        print(f"constant volatility, {residual}, {NOISE_SEEDS} seeds: skill over the mean shown in {shown}", flush=True)


if __name__ == "__main__":
    main()
