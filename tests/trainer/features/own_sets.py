"""Feature sets as a user writes them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from trainer.bars.frame import CLOSE, VOLUME, Bars, Floats
from trainer.export.stretch import Stretch
from trainer.features import indicators

PERIOD = 20


class Momentum:
    """The return, the distance of log price from its mean, and whether the volume grew."""

    columns: tuple[str, ...] = ("log_return", "momentum", "volume_grew")
    warmup = PERIOD - 1
    memory = PERIOD

    def compute(self, bars: Bars) -> Iterator[Floats]:
        """One column after the other."""
        logs, volume = np.log(bars.close), bars.values[:, VOLUME]
        yield np.diff(logs, prepend=np.nan)
        yield logs - self.mean(logs)
        yield np.concatenate([[0.0], (volume[1:] > volume[:-1]).astype(float)])

    def write(self, stretch: Stretch) -> list[str]:
        """The same as ONNX nodes."""
        graph = stretch.graph
        logs = graph.node("Log", stretch.column(CLOSE, 0, stretch.rows))
        last = graph.slice(logs, stretch.rows - stretch.wanted, stretch.rows, 1)
        before = graph.slice(logs, stretch.rows - stretch.wanted - 1, stretch.rows - 1, 1)
        grew = graph.node("Greater", stretch.last(VOLUME), stretch.previous(VOLUME))
        return [
            graph.node("Sub", last, before),
            graph.node("Sub", last, stretch.average(logs, stretch.rows, self.mean)),
            graph.cast(grew, np.float64),
        ]

    @staticmethod
    def mean(column: Floats) -> Floats:
        """What an indicator of ours gives, for NumPy and, being linear, for the graph."""
        return indicators.sma(column, PERIOD)


class Foreseeing(Momentum):
    """Centred: it reads the bar that comes next."""

    def compute(self, bars: Bars) -> Iterator[Floats]:
        returns, momentum, grew = super().compute(bars)
        yield returns
        yield np.append(momentum[1:], 0.0)
        yield grew


class SinceStart(Momentum):
    """Measured from the first bar there is, which a forecast later on does not see."""

    def compute(self, bars: Bars) -> Iterator[Floats]:
        returns, _, grew = super().compute(bars)
        yield returns
        yield np.log(bars.close / bars.close[0])
        yield grew


class Unlike(Momentum):
    """Its graph is another function."""

    def write(self, stretch: Stretch) -> list[str]:
        returns, momentum, grew = super().write(stretch)
        return [returns, stretch.graph.node("Neg", momentum), grew]


class Percent(Momentum):
    """Its return is another's."""

    def compute(self, bars: Bars) -> Iterator[Floats]:
        returns, momentum, grew = super().compute(bars)
        yield np.expm1(returns)
        yield momentum
        yield grew


class Short(Momentum):
    """One name too many."""

    columns = (*Momentum.columns, "more")


class Forgetful(Momentum):
    """It needs more rows before the first than it remembers."""

    memory = PERIOD - 2


class Unnamed(Momentum):
    """Nothing that bands are made from."""

    columns = ("a", "b", "c")


class NoGraph:
    """Without an ONNX form."""

    columns, warmup, memory = Momentum.columns, Momentum.warmup, Momentum.memory
    compute = Momentum().compute


MOMENTUM = Momentum()
FORESEEING, SINCE_START, UNLIKE, PERCENT = Foreseeing(), SinceStart(), Unlike(), Percent()
SHORT, FORGETFUL, UNNAMED, NO_GRAPH = Short(), Forgetful(), Unnamed(), NoGraph()
