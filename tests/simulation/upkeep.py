"""A store that somebody damages and somebody else repairs, while everything else goes on."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from atb.documents.attempt import Claim, ExitReport, Progress
from atb.documents.result import ResultPointer
from atb.errors import AtbError, Unreadable
from atb.schema import Document
from atb.storage import Store
from launcher.upkeep.check import PROBE_SECONDS, check_store
from launcher.upkeep.places import place_of
from launcher.upkeep.repair import repair_store
from tests.simulation.kernel import Kernel, Process, VirtualClock
from tests.simulation.object_store import ObjectStore, frozen_view, readable

SPOILED: tuple[type[Document], ...] = (Claim, ExitReport, Progress, ResultPointer)
"""What is damaged: documents that a run can do without."""


def spoil(server: ObjectStore, chance: random.Random, kinds: tuple[type[Document], ...]) -> None:
    """Damage one document."""
    found = [key for key in server.below("") if (place := place_of(key)) is not None and place.kind in kinds]
    if found:
        key = chance.choice(found)
        server.kernel.log("somebody", f"damages {key}")
        server.spoil(key)


def draw_repairs(
    server: ObjectStore,
    chance: random.Random,
    open_store: Callable[[Process], Store],
    until: float,
    kinds: tuple[type[Document], ...] = SPOILED,
) -> None:
    """Damage the store now and then, and repair it, each repair killed now and then."""
    kernel = server.kernel
    for _ in range(3):
        kernel.at(chance.uniform(0, until), lambda: spoil(server, chance, kinds))
    for number in range(3):
        process, begin = Process(kernel, f"repair-{number}"), chance.uniform(0, until)
        kernel.at(begin, partial(start_repair, kernel, open_store(process), process))
        if chance.random() < 0.5:
            kernel.at(begin + chance.uniform(0, 5), process.kill)


def is_whole(key: str, data: bytes) -> bool:
    """Whether it is the document that belongs there, or none does."""
    place = place_of(key)
    try:
        return place is None or bool(place.kind.from_bytes(data, key))
    except Unreadable:
        return False


def repair(kernel: Kernel, store: Store, process: Process) -> None:
    """Check the store, and repair what is wrong. Raises AtbError."""
    for finding in repair_store(store, check_store(store, clock=VirtualClock(process))):
        kernel.log(process.name, readable(f"{finding.key} is {finding.what}: {finding.repaired}"[:160]))


def start_repair(kernel: Kernel, store: Store, process: Process) -> None:
    """``atb-launch store check --repair``, as a process."""

    def work() -> None:
        try:
            repair(kernel, store, process)
        except AtbError as error:
            kernel.log(process.name, f"leaves: {str(error)[:80]}")
        process.end()

    kernel.log(process.name, "is started")
    process.start(work)


def watch_repairs(server: ObjectStore, violate: Callable[[str], None]) -> None:
    """A repair removes nothing that is whole, but for old probes, its own, and hints that come again by themselves."""

    def on_remove(process: str, key: str, data: bytes, age: float) -> None:
        if not process.startswith("repair"):
            return
        place = place_of(key)
        if key.startswith("probes/") and data != b"time" and age <= PROBE_SECONDS:
            violate(f"{process} removes {key}, which somebody may be using")
        elif place is not None and place.care != "drop" and is_whole(key, data):
            violate(f"{process} removes {key}, which is whole")

    server.on_remove = on_remove


def check_repaired(server: ObjectStore, violate: Callable[[str], None]) -> None:
    """One more repair, and nothing is left to be found."""
    process = Process(server.kernel, "repair-last")
    view = frozen_view(server, process.name)
    repair(server.kernel, view, process)
    for finding in check_store(view, clock=VirtualClock(process)):
        violate(f"repaired, and still {finding.key} is {finding.what}: {finding.why}")
