"""What all simulations of one size share."""

from __future__ import annotations

from functools import lru_cache

from atb.documents.plan import Plan
from tests.launcher.fixtures import make_plan

RUN = "night"


@lru_cache
def plan_of(jobs: int) -> Plan:
    """The plan of a night; the same for each seed."""
    return make_plan(*(f"S{number:02}USDT" for number in range(jobs)), run=RUN)


@lru_cache
def plan_bytes(jobs: int) -> bytes:
    """The same as it is stored."""
    return plan_of(jobs).to_bytes()
