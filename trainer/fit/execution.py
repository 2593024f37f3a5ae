"""How a fit is compiled, chosen from measurement, here and nowhere else.

On a CPU, XLA with our recurrent kernels makes every net's step faster (``benchmarks/train.py`` prints by how much),
but takes seconds to compile, so a fit of few steps runs uncompiled. On a GPU, Keras' layers call cuDNN's recurrent
kernels, which XLA can't.
"""

from __future__ import annotations

from dataclasses import dataclass

from trainer.fit.device import Device

XLA_PAYS_FROM = 250
"""Compiling costs about as much time as this many training steps gain."""
CHUNK = 16
"""Steps in one call of the graph; between two calls a stop is noticed."""


@dataclass(frozen=True)
class Execution:
    """``xla``: compile the steps, with the recurrent kernels of this package. ``chain``: the net is one of ours."""

    name: str
    xla: bool
    chain: bool = True


XLA = Execution("xla", xla=True)
KERAS = Execution("keras", xla=False)
CUDNN = Execution("cudnn", xla=False)
OWN = Execution("keras", xla=False, chain=False)
"""A net of the user's own: as Keras runs it."""


def choose_execution(device: Device, *, steps: int, mixed_precision: bool, own: bool = False) -> Execution:
    """``steps``: how many training steps the fit takes if it runs to its last epoch."""
    if own:
        return OWN
    if device.kind == "gpu":
        return CUDNN
    return KERAS if mixed_precision or steps < XLA_PAYS_FROM else XLA
