"""One night: a run launched, killed, paused, attached, cancelled, resumed and collected, as one seed has it."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from atb.contract import keys, labels
from atb.errors import AtbError
from atb.storage.s3 import S3Store
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.control.actions import Action, Create
from launcher.kubernetes.control.controller import RunController
from launcher.kubernetes.control.decide import decide
from launcher.kubernetes.control.observe import Observation
from launcher.kubernetes.control.state import RunState
from launcher.kubernetes.objects.jobs import owner_name
from launcher.kubernetes.options import ClusterOptions
from tests.launcher.fixtures import make_options
from tests.simulation.api_server import ApiConnection, ApiFaults, ApiServer, Object
from tests.simulation.cluster import NODES, ClusterFaults, Kubernetes
from tests.simulation.happenings import draw_happenings
from tests.simulation.invariants import Invariants
from tests.simulation.kernel import Kernel, Process, VirtualClock, VirtualThreads
from tests.simulation.object_store import CarelessStore, ObjectStore, StoreFaults, open_store
from tests.simulation.registry import left_before, spend_the_morning
from tests.simulation.trainings import Script, train
from tests.simulation.upkeep import check_repaired
from tests.simulation.world import RUN, plan_bytes, plan_of

TROUBLE_SECONDS = 1500.0
"""How long things go wrong; then all faults cease, and everything must come to its end."""
END_SECONDS = 6 * 3600.0
TICK = 20.0
"""Longer than in life, where nothing happens; what happens is seen at once."""

Fate = Callable[[Process, int, str], str]
"""What comes of a process's n-th write to the store, at a key: "before", "after", "lost", or nothing."""
Rules = Callable[[RunState, float], list[Action]]


@dataclass(frozen=True)
class Planted:
    """A fault put into the code or the store on purpose, which the invariants must find."""

    ignores_if_none_match: bool = False
    ignores_if_match: bool = False
    takes_own_write_for_a_rival: bool = False
    rules: Rules = decide


@dataclass
class Launcher:
    """One life of the launcher."""

    process: Process
    mode: str
    controller: RunController
    found: dict[str, Observation] | None = None
    error: BaseException | None = None
    ended: bool = False


@dataclass
class Night:
    """The simulation of one seed."""

    seed: int
    jobs: int = 24
    planted: Planted = field(default_factory=Planted)
    fate: Fate | None = None
    """With one, only that goes wrong: a small simulation, in which every fault can be tried."""
    moves: bool | None = None
    """Whether models served before that are rolled back and demoted meanwhile; drawn where it is None."""

    def __post_init__(self) -> None:
        self.kernel = Kernel(self.seed)
        self.random = random.Random(self.seed + 1)
        if self.moves is None:
            self.moves = self.fate is None and self.random.random() < 0.5
        self.left_before = left_before(self.jobs) if self.moves else {}
        self.plan, options = plan_of(self.jobs), self._draw_options()
        self.options: ClusterOptions = options
        self.store = ObjectStore(self.kernel)
        self.server = ApiServer(self.kernel)
        self.kubernetes = Kubernetes(self.server, self._train)
        self.scripts = {planned.job: self._draw_script() for planned in self.plan.jobs}
        self.launchers: list[Launcher] = []
        self.collectors: list[Process] = []
        self.cancelled_at: float | None = None
        self.healed = self.resumed = self.maintained = False
        self.invariants = Invariants(self)

    def run(self) -> list[str]:
        """Live through it; the violations, of which there should be none."""
        try:
            self._live()
        finally:
            self.kernel.close()
        return [*self.invariants.violations, *self.kernel.crashes]

    def _live(self) -> None:
        self.store.put(keys.plan(RUN), plan_bytes(self.jobs))
        for key, data in self.left_before.items():
            self.store.put(key, data)
        if self.fate is None:
            self._draw_faults()
            draw_happenings(self, TROUBLE_SECONDS / 3)
        else:
            self.store.fate_of = self.fate
        self.launch("create")
        self._keep_a_launcher()
        self.kernel.at(TROUBLE_SECONDS, self._heal)
        if not self.kernel.run(lambda: self.healed, TROUBLE_SECONDS + 1):
            self.invariants.violate("time stands still")
        self._come_to_an_end("attach")
        self.invariants.check_run()
        if self.fate is None and self.random.random() < 0.5:
            self._come_to_an_end("resume")
            self.invariants.check_run()
        self.spend_the_morning()
        if self.maintained:
            check_repaired(self.store, self.invariants.violate)

    def spend_the_morning(self) -> None:
        """What follows the run."""
        spend_the_morning(self)
        self.invariants.check_registry()

    # what a seed decides

    def _draw_options(self) -> ClusterOptions:
        draw = self.random
        if self.fate is not None:
            return make_options(deadline_seconds=900)
        spot = draw.random() < 0.3
        return make_options(
            spot="spot=yes" if spot else None,
            on_demand_after=draw.choice([None, 1, 2]) if spot else None,
            keep_jobs=draw.random() < 0.2,
            memory="64Mi",
            max_memory="256Mi",
            deadline_seconds=draw.choice([600, 900]),
            schedule_seconds=draw.choice([300, 900]),
            start_seconds=draw.choice([120, 600]),
            backoff_limit=draw.choice([0, 2]),
            oom_retries=draw.choice([0, 1, 3]),
            infrastructure_retries=draw.choice([0, 2]),
            max_parallel=draw.choice([None, None, None, max(1, self.jobs // 3)]),
        )

    def _draw_script(self) -> Script:
        draw = self.random
        if self.fate is not None:
            return Script(epochs=2)
        script = Script(epochs=draw.randint(2, 4), seconds=draw.uniform(5, 60))
        match draw.choices(["good", "fails", "crashes", "needs memory", "hangs"], [70, 8, 8, 10, 4])[0]:
            case "fails":
                script.exit_code = draw.choice([2, 10, 20, 70])
            case "crashes":
                script.crashes = draw.randint(1, 4)
            case "needs memory":
                script.needs_mebibytes = draw.choice([80, 120, 500])
                script.grows_mebibytes = draw.choice([0, 0, 20])
            case "hangs":
                script.hangs = True
        return script

    def _draw_faults(self) -> None:
        draw = self.random

        def sometimes(most: float) -> float:
            return draw.uniform(0, most) if draw.random() < 0.5 else 0.0

        def outages() -> list[tuple[float, float]]:
            begin = draw.uniform(0, TROUBLE_SECONDS)
            return [(begin, begin + draw.uniform(5, 1000))] if draw.random() < 0.2 else []

        self.server.faults = ApiFaults(
            error=sometimes(0.1),
            busy=sometimes(0.1),
            lost=sometimes(0.1),
            drop=sometimes(0.2),
            gone=sometimes(0.5),
            quota=sometimes(0.2),
            outages=outages(),
        )
        self.store.faults = StoreFaults(error=sometimes(0.1), lost=sometimes(0.1), slow=sometimes(0.05))
        self.store.faults.outages = outages()
        self._plant()
        self.kubernetes.faults = ClusterFaults(
            unpullable=sometimes(0.1), slow_start=sometimes(0.1), silent_oom=sometimes(1.0)
        )
        if draw.random() < 0.2:
            self.kubernetes.faults.broken_gpu = {draw.choice(NODES)}
        if draw.random() < 0.1:
            self.kubernetes.faults.full = set(NODES)
        self.server.skew = draw.choice([0.0, 0.0, 0.0, -3600.0, 90.0])

    def _plant(self) -> None:
        self.store.faults.ignores_if_none_match = self.planted.ignores_if_none_match
        self.store.faults.ignores_if_match = self.planted.ignores_if_match

    # what happens

    def open_store(self, process: Process) -> S3Store:
        """A process's own client of the store."""
        kind = CarelessStore if self.planted.takes_own_write_for_a_rival else S3Store
        return open_store(self.store, process, kind)

    def _train(self, pod: Object, process: Process, done: Callable[[int, str], None]) -> None:
        notes = pod["metadata"]["annotations"]
        planned = next(each for each in self.plan.jobs if each.job == notes[labels.JOB_ANNOTATION])
        limit = pod["spec"]["containers"][0]["resources"]["limits"]["memory"].removesuffix("Mi")
        client = self.open_store(process)
        train(self.plan, planned, self.scripts[planned.job], client, process, int(limit), done)

    def launch(self, mode: str) -> None:
        """Start a launcher as a user would."""
        if mode == "attach" and self.server.find("configmaps", owner_name(RUN)) is None:
            mode = "create"  # there is nothing to attach to
        process = Process(self.kernel, f"launcher-{len(self.launchers) + 1}")
        clock, threads = VirtualClock(process), VirtualThreads(process)
        cluster = Cluster(
            lambda: ApiConnection(self.server, process),
            "sim",
            clock=clock,
            jitter=self.kernel.random,
        )
        controller = RunController(
            cluster,
            self.open_store(process),
            self.plan,
            self.options,
            threads=threads,
            tick=TICK,
            rules=self._decide,
        )
        launcher = Launcher(process, mode, controller)
        self.launchers.append(launcher)
        self.kernel.log(process.name, f"is started: {mode}")

        def work() -> None:
            try:
                launcher.found = controller.run(mode)  # type: ignore[arg-type]
                self.kernel.log(process.name, "leaves")
            except AtbError as error:
                launcher.error = error
                self.kernel.log(process.name, f"leaves: {str(error)[:100]}")
            launcher.ended = True
            process.end()

        process.start(work)

    def _decide(self, state: RunState, now: float) -> list[Action]:
        decided = self.planted.rules(state, now)
        if state.cancelled and any(isinstance(action, Create) for action in decided):
            self.invariants.violate("a launcher that knows of the cancel creates a Job")
        return decided

    def running(self) -> list[Launcher]:
        """The launchers that live."""
        return [each for each in self.launchers if each.process.alive and not each.ended]

    def _all_have_left(self) -> bool:
        """Asked before every step: the last launcher is the most likely one to run."""
        return not any(each.process.alive and not each.ended for each in reversed(self.launchers))

    def _keep_a_launcher(self) -> None:
        """Somebody looks after the run now and then, and attaches again where the launcher has gone."""
        settled = self.launchers and self.launchers[-1].found is not None
        if not self.running() and not settled and not self.healed:
            self.launch("attach")
        if not self.healed:
            self.kernel.at(self.random.uniform(60, 300), self._keep_a_launcher)

    def _heal(self) -> None:
        self.kernel.log("world", "all faults cease")
        self.healed = True
        self.server.faults, self.kubernetes.faults = ApiFaults(), ClusterFaults()
        self.store.faults = StoreFaults()
        self._plant()
        self.kubernetes.dead.clear()

    def _come_to_an_end(self, mode: str) -> None:
        """Without faults a launcher ends, and what it says is the run's end."""
        if not self.kernel.run(self._all_have_left, END_SECONDS) and self.running():
            self.invariants.violate(f"{self.running()[0].process.name} never ends")
            return
        if mode == "resume":
            self.cancelled_at, self.resumed = None, True
        self.launch(mode)
        if not self.kernel.run(self._all_have_left, END_SECONDS):
            self.invariants.violate(f"{self.launchers[-1].process.name} never ends")
        # and so does what it has left running
        self.kernel.run(self.kubernetes.is_quiet, END_SECONDS)


def collect_rarely() -> None:
    """A night makes many objects and few cycles: collecting garbage as often as usual takes an eighth of its time."""
    gc.collect()
    gc.freeze()  # what is imported stays
    gc.set_threshold(500_000, 50, 100)


def live(task: tuple[int, int, bool]) -> tuple[list[str], list[str], tuple[int, int]]:
    """One night: its violations, its history where that is wanted, and its steps and requests."""
    seed, jobs, log = task
    night = Night(seed, jobs)
    violations = night.run()
    history = night.kernel.history if log else []
    counted = night.kernel.steps, night.server.requests + night.store.requests
    for each in (night.kernel, night.server, night.store, night.kubernetes, night.invariants, night):
        vars(each).clear()  # they hold each other: without this, all of it waits for the garbage collector
    return violations, history, counted
