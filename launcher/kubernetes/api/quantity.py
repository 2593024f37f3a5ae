"""Kubernetes quantities: ``500m``, ``8Gi``, ``1e3``."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal

from atb.errors import SpecError

QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?[0-9]{1,2})?")
_MOST = Decimal(2**63 - 1)
"""Larger ones are cut to it by the API server."""
_SCALES = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", 1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)},
}


def parse_quantity(text: str) -> Decimal:
    """A quantity as a number. Raises SpecError."""
    match = QUANTITY.fullmatch(text)
    if match is None:
        raise SpecError(f"quantity {text[:40]!r} is not like 500m, 2 or 8Gi")
    number, suffix = match[1], match[2] or ""
    amount = Decimal(number) * _SCALES[suffix] if suffix in _SCALES else Decimal(number + suffix)
    if amount > _MOST:
        raise SpecError(f"quantity {text[:40]!r} is more than 8Ei, which no machine has")
    return amount


def format_memory(amount: Decimal | int) -> str:
    """Bytes as whole ``Mi``, rounded up, or ``Gi`` where that is exact."""
    mebibytes = int((Decimal(amount) / _SCALES["Mi"]).to_integral_value(ROUND_CEILING))
    return f"{mebibytes // 1024}Gi" if mebibytes % 1024 == 0 and mebibytes else f"{mebibytes}Mi"
