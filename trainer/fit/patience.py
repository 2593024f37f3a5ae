"""When the rate falls and when a fit ends, as Keras' EarlyStopping and ReduceLROnPlateau do, as plain data."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Self

RATE_FACTOR = 0.5
RATE_FLOOR = 1e-6
RATE_MIN_DELTA = 1e-4


@dataclass
class Patience:
    """Watches the validation loss. Epochs count from 1; ``best_epoch`` 0: none yet."""

    patience: int
    rate: float
    best: float = math.inf
    best_epoch: int = 0
    waited: int = 0
    plateau_best: float = math.inf
    plateau_waited: int = 0

    @property
    def rate_patience(self) -> int:
        """Epochs without progress before the rate is halved."""
        return max(3, self.patience // 3)

    @property
    def exhausted(self) -> bool:
        """Whether the fit should end."""
        return self.waited >= self.patience

    def update(self, epoch: int, loss: float) -> bool:
        """Count an epoch's validation loss; returns whether it is the best so far."""
        if loss < self.plateau_best - RATE_MIN_DELTA:
            self.plateau_best, self.plateau_waited = loss, 0
        else:
            self.plateau_waited += 1
            if self.plateau_waited >= self.rate_patience and self.rate > RATE_FLOOR:
                self.rate, self.plateau_waited = max(self.rate * RATE_FACTOR, RATE_FLOOR), 0
        if loss < self.best:
            self.best, self.best_epoch, self.waited = loss, epoch, 0
            return True
        self.waited += 1
        return False

    def to_dict(self) -> dict[str, Any]:
        """For a checkpoint; infinities as None."""
        return {name: None if value == math.inf else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """What ``to_dict`` gave."""
        known: dict[str, Any] = {name: math.inf if value is None else value for name, value in fields.items()}
        return cls(**known)
