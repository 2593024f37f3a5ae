"""How one machine is shared out among trainings: cores, and cards where there are any."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ON_ONE_CARD = 4
"""Trainings that share a card unless --max-parallel says otherwise; each holds a CUDA context and needs a core."""
_VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Share:
    """How many trainings at a time, CPU threads for each, and the cards that they are spread over."""

    parallel: int
    threads: int
    cards: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """``2 at a time with 1 thread each``."""
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        count = "one at a time" if self.parallel == 1 else f"{self.parallel} at a time"
        cards = f" on {len(self.cards)} GPU{'s' * (len(self.cards) > 1)}" if self.cards else ""
        return f"{count}{cards} with {threads}{' each' * (self.parallel > 1)}"

    def environment(self, busy: Mapping[str, int]) -> dict[str, str]:
        """What one more training is told: the card with the fewest trainings. ``busy`` counts those of each card."""
        if not self.cards:
            return {}
        return {_VISIBLE: min(self.cards, key=lambda card: busy.get(card, 0))}

    def card_of(self, environment: Mapping[str, str]) -> str:
        """The card in such an environment; empty where there is none."""
        return environment.get(_VISIBLE, "")


def share_machine(
    jobs: int, asked: int | None = None, *, cores: int | None = None, cards: tuple[str, ...] = ()
) -> Share:
    """Shares for so many jobs; ``asked`` is how many at a time the user wants, ``cores`` those this process may use."""
    cores = cores or usable_cores()
    limit = asked or (min(cores, ON_ONE_CARD * len(cards)) if cards else cores)
    parallel = max(1, min(limit, jobs))
    return Share(parallel, max(1, cores // parallel), cards)


def usable_cores() -> int:
    """The cores this process may run on."""
    return len(os.sched_getaffinity(0))


def usable_cards(environment: Mapping[str, str] = os.environ, devices: Path = Path("/dev")) -> tuple[str, ...]:
    """The NVIDIA cards a training may be given, as CUDA_VISIBLE_DEVICES names them; those it names now, if it does."""
    if (named := environment.get(_VISIBLE)) is not None:
        return tuple(part.strip() for part in named.split(",") if part.strip() not in ("", "-1", "void", "none"))
    numbers = (re.fullmatch(r"nvidia(\d+)", path.name) for path in devices.glob("nvidia*"))
    return tuple(sorted((match[1] for match in numbers if match), key=int))
