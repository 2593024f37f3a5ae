"""The rows that models are judged on, and what a forecast of them is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.evaluate.bands import Bands
from trainer.evaluate.metrics import Floats, price_metrics, volatility_metrics
from trainer.features.volatility import past_volatility, realised_volatility

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class JudgedRows:
    """Window ends and what happened after them. ``close``: float64[n] of all bars; ``ends``: the windows' last rows.

    ``variance``: float64[n] of each bar, where volatility is judged: ``actual``, ``persistence`` and every forecast
    are then logs of the volatility per bar over ``horizon`` bars, else prices. ``train_mean``: the mean log volatility
    of the train rows.
    """

    close: Floats
    ends: Rows
    horizon: int
    bar_ms: int
    variance: Floats | None = None
    train_mean: float | None = None

    @property
    def last(self) -> Floats:
        """The close at each window's end."""
        closes: Floats = self.close[self.ends]
        return closes

    @property
    def closes(self) -> Floats:
        """The close ``horizon`` bars later."""
        closes: Floats = self.close[self.ends + self.horizon]
        return closes

    @property
    def actual(self) -> Floats:
        """What there was to forecast."""
        return self.closes if self.variance is None else realised_volatility(self.variance, self.ends, self.horizon)

    @property
    def persistence(self) -> Floats:
        """What persistence forecasts: that nothing changes."""
        return self.last if self.variance is None else past_volatility(self.variance, self.ends, self.horizon)

    def measure(self, predicted: Floats) -> dict[str, float]:
        """The metrics of a forecast float64[len(ends)]. Raises Diverged where one is not a number."""
        if self.variance is None:
            return dict(price_metrics(self.actual, predicted, self.last, self.horizon))
        return dict(volatility_metrics(self.actual, predicted, self.persistence, self.horizon, self.train_mean))

    def take(self, chosen: NDArray[Any]) -> JudgedRows:
        """Some of the rows."""
        return replace(self, ends=self.ends[chosen])


@dataclass(frozen=True)
class ForecastRows:
    """Forecasts of some rows. ``predicted`` is in the terms of the rows' ``actual``, and so are ``baselines``, by name;
    ``bands`` are of the close ``horizon`` bars on."""

    rows: JudgedRows
    predicted: Floats
    baselines: Mapping[str, Floats]
    bands: Bands
