"""The four nets as data: the published table's column, without Keras."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from atb.contract.presets import ModelType

EPSILON = 1e-3
"""Added to the variance by every normalisation."""
HEAD = "scaled"
"""The last layer: the scaled log-return."""


@dataclass(frozen=True)
class Conv:
    """A convolution of kernel 3 and stride 1 over time, ReLU, and a pooling of 2 where ``pool``."""

    filters: int
    padding: Literal["same", "valid"] = "same"
    normalise: bool = True
    pool: bool = True


@dataclass(frozen=True)
class Recurrent:
    """A recurrent layer; all but the last of a net hand on every step."""

    cell: Literal["gru", "lstm"]
    units: int
    dropout: float = 0.2
    bidirectional: bool = False
    normalise: bool = False


@dataclass(frozen=True)
class Dense:
    """A dense ReLU layer, then dropout."""

    units: int
    dropout: float = 0.2


@dataclass(frozen=True)
class Architecture:
    """One net: convolutions, recurrent layers, dense layers, and one linear unit at the end."""

    convs: tuple[Conv, ...]
    recurrents: tuple[Recurrent, ...]
    denses: tuple[Dense, ...]

    @property
    def named_convs(self) -> list[tuple[str, Conv]]:
        """Each convolution with its layer's name."""
        return [(f"conv_{number}", conv) for number, conv in enumerate(self.convs, 1)]

    @property
    def named_recurrents(self) -> list[tuple[str, Recurrent]]:
        """Each recurrent layer with its name."""
        return [(f"{layer.cell}_{number}", layer) for number, layer in enumerate(self.recurrents, 1)]

    @property
    def named_denses(self) -> list[tuple[str, Dense]]:
        """Each dense layer with its name."""
        return [(f"dense_{number}", dense) for number, dense in enumerate(self.denses, 1)]


def norm_name(name: str) -> str:
    """The name of the normalisation that follows a layer."""
    return f"{name}_norm"


ARCHITECTURES: dict[ModelType, Architecture] = {
    "fast": Architecture(
        convs=(Conv(32),),
        recurrents=(Recurrent("gru", 64), Recurrent("gru", 32)),
        denses=(Dense(32),),
    ),
    "balanced": Architecture(
        convs=(Conv(48), Conv(96)),
        recurrents=(Recurrent("gru", 80, normalise=True), Recurrent("gru", 40)),
        denses=(Dense(40),),
    ),
    "quality": Architecture(
        convs=(Conv(64), Conv(128), Conv(256, pool=False)),
        recurrents=(
            Recurrent("lstm", 120, dropout=0.3, bidirectional=True, normalise=True),
            Recurrent("lstm", 60, dropout=0.3),
        ),
        denses=(Dense(80, dropout=0.3), Dense(40, dropout=0.2)),
    ),
    "adaptive": Architecture(
        convs=(Conv(64, "valid", normalise=False), Conv(128, "valid", normalise=False)),
        recurrents=(Recurrent("lstm", 100), Recurrent("lstm", 50)),
        denses=(Dense(50),),
    ),
}
"""By model type. Trainable and moving parameters for 9 features: 30,337 / 75,041 / 569,649 / 150,897."""
