"""What happens to a night's launchers, nodes and objects, and when: all of it drawn from the night's seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from atb.errors import AtbError, SpecError
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.cleanup import cancel_run, clean_run
from tests.simulation.api_server import ApiConnection
from tests.simulation.cluster import NODES, SPOT_NODES
from tests.simulation.kernel import Process, VirtualClock
from tests.simulation.upkeep import draw_repairs
from tests.simulation.world import RUN

if TYPE_CHECKING:
    from tests.simulation.night import Night


def draw_happenings(night: Night, until: float) -> None:
    """Decide what happens, before a time, and have it happen."""
    chances: list[tuple[float, Callable[[Night], None]]] = [
        (0.5, kill_launcher),
        (0.2, kill_launcher),
        (0.2, pause_launcher),
        (0.2, jump_clock),
        (0.2, lambda night: night.launch("attach")),
        (0.3, lose_node),
        (0.3, lose_node),
        (0.2, evict),
        (0.2, evict),
        (0.1, delete_job),
        (0.25, cancel),
        (0.05, lambda night: clean(night, force=False)),
        (0.05, lambda night: clean(night, force=True)),
    ]
    if night.options.spot:
        chances += [(0.6, reclaim_spot)] * 4
    for chance, act in chances:
        if night.random.random() < chance:
            night.kernel.at(night.random.uniform(0, until), lambda act=act: act(night))  # type: ignore[misc]
    if night.random.random() < MAINTAINED:
        night.maintained = True
        draw_repairs(night.store, night.random, night.open_store, 3 * until)


MAINTAINED = 0.04
"""The share of nights in which the store is damaged and repaired: each repair reads all that a night has left."""


def kill_launcher(night: Night) -> None:
    if running := night.running():
        night.random.choice(running).process.kill()


def pause_launcher(night: Night) -> None:
    if running := night.running():
        night.random.choice(running).process.pause(night.random.uniform(10, 1200))


def jump_clock(night: Night) -> None:
    for launcher in night.running():
        launcher.process.skew = night.random.choice([-7200.0, -60.0, 60.0, 7200.0])
        night.kernel.log(launcher.process.name, f"has a clock that is {launcher.process.skew:+.0f} s off")


def lose_node(night: Night) -> None:
    seconds = night.random.uniform(100, 1000)
    night.kubernetes.lose_node(night.random.choice(NODES), seconds, partition=night.random.random() < 0.7)


def reclaim_spot(night: Night) -> None:
    """The provider takes a spot node back: its Pods are told to stop."""
    node = night.random.choice(SPOT_NODES)
    night.kernel.log(node, "is taken back")
    for name, pod in sorted(night.server.objects["pods"].items()):
        if pod["spec"].get("nodeName") == node:
            night.kubernetes.stop(name, "EvictionByEvictionAPI")


def evict(night: Night) -> None:
    if pods := sorted(night.server.objects["pods"]):
        night.kubernetes.stop(night.random.choice(pods), "EvictionByEvictionAPI")


def delete_job(night: Night) -> None:
    if jobs := sorted(night.server.objects["jobs"]):
        name = night.random.choice(jobs)
        night.kernel.log("somebody", f"deletes Job {name}")
        night.server.remove("jobs", name)


def cancel(night: Night) -> None:
    process, cluster, clock = _connect(night, "canceller")

    def work() -> None:
        while night.cancelled_at is None:
            try:
                night.kernel.log("somebody", cancel_run(cluster, RUN, lambda words: None))
                night.cancelled_at = night.kernel.time
            except AtbError as error:
                night.kernel.log("somebody", f"cannot cancel: {str(error)[:80]}")
                clock.sleep(30)

    process.start(work)


def clean(night: Night, *, force: bool) -> None:
    process, cluster, _ = _connect(night, "cleaner-by-force" if force else "cleaner")
    night.invariants.cleaning_since = night.kernel.time

    def work() -> None:
        try:
            night.kernel.log(process.name, clean_run(cluster, RUN, force=force))
        except SpecError as error:
            night.kernel.log(process.name, f"is refused: {str(error)[:80]}")
        except AtbError as error:
            night.kernel.log(process.name, f"cannot clean: {str(error)[:80]}")

    process.start(work)


def _connect(night: Night, name: str) -> tuple[Process, Cluster, VirtualClock]:
    process = Process(night.kernel, name)
    clock = VirtualClock(process)
    cluster = Cluster(lambda: ApiConnection(night.server, process), "sim", clock=clock, jitter=night.kernel.random)
    return process, cluster, clock
