"""One night: a run launched, killed, paused, attached, cancelled, resumed and collected, as one seed has it."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from atb.contract import keys, labels
from atb.contract.runs import DEFAULT_FDR
from atb.documents.plan import Plan
from atb.documents.result import Result
from atb.errors import AtbError
from atb.registry.candidate import Candidate
from atb.registry.ledger import read_rows, spend
from atb.storage.s3 import S3Store
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.cleanup import cancel_run
from launcher.kubernetes.control.actions import Action, Create
from launcher.kubernetes.control.controller import RunController
from launcher.kubernetes.control.decide import decide
from launcher.kubernetes.control.observe import Observation
from launcher.kubernetes.control.state import RunState
from launcher.kubernetes.objects.jobs import owner_name
from launcher.kubernetes.options import ClusterOptions
from launcher.records.manifest import collect
from launcher.records.promotion import promote_run, weigh_record
from launcher.records.run_record import RunRecord
from tests.launcher.fixtures import make_options, make_plan
from tests.simulation.api_server import ApiConnection, ApiFaults, ApiServer, Object
from tests.simulation.cluster import NODES, ClusterFaults, Kubernetes
from tests.simulation.invariants import Invariants
from tests.simulation.kernel import Kernel, Process, VirtualClock, VirtualThreads
from tests.simulation.object_store import CarelessStore, ObjectStore, StoreFaults, open_store, readable
from tests.simulation.trainings import Script, train

RUN = "night"
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

    def __post_init__(self) -> None:
        self.kernel = Kernel(self.seed)
        self.random = random.Random(self.seed + 1)
        self.plan, options = plan_of(self.jobs), self._draw_options()
        self.options: ClusterOptions = options
        self.store = ObjectStore(self.kernel)
        self.server = ApiServer(self.kernel)
        self.kubernetes = Kubernetes(self.server, self._train)
        self.scripts = {planned.job: self._draw_script() for planned in self.plan.jobs}
        self.launchers: list[Launcher] = []
        self.collectors: list[Process] = []
        self.cancelled_at: float | None = None
        self.healed = False
        self.invariants = Invariants(self)

    def run(self) -> list[str]:
        """Live through it; the violations, of which there should be none."""
        try:
            self._live()
        finally:
            self.kernel.close()
        return [*self.invariants.violations, *self.kernel.crashes]

    def _live(self) -> None:
        self.store.put(keys.plan(RUN), self.plan.to_bytes())
        if self.fate is None:
            self._draw_faults()
            self._draw_events()
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
        self.invariants.check_record()
        self._collect()
        self.invariants.check_registry()

    # what a seed decides

    def _draw_options(self) -> ClusterOptions:
        draw = self.random
        if self.fate is not None:
            return make_options(deadline_seconds=900)
        return make_options(
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
        self.store.faults.ignores_if_none_match = self.planted.ignores_if_none_match
        self.kubernetes.faults = ClusterFaults(
            unpullable=sometimes(0.1), slow_start=sometimes(0.1), silent_oom=sometimes(1.0)
        )
        if draw.random() < 0.2:
            self.kubernetes.faults.broken_gpu = {draw.choice(NODES)}
        if draw.random() < 0.1:
            self.kubernetes.faults.full = set(NODES)
        self.server.skew = draw.choice([0.0, 0.0, 0.0, -3600.0, 90.0])

    def _draw_events(self) -> None:
        draw = self.random
        early = TROUBLE_SECONDS / 3
        acts: list[tuple[float, Callable[[], None]]] = [
            (0.5, self._kill_launcher),
            (0.2, self._kill_launcher),
            (0.2, self._pause_launcher),
            (0.2, self._jump_clock),
            (0.2, lambda: self.launch("attach")),
            (0.3, self._lose_node),
            (0.3, self._lose_node),
            (0.2, self._evict),
            (0.2, self._evict),
            (0.1, self._delete_job),
            (0.25, self._cancel),
        ]
        for chance, act in acts:
            if draw.random() < chance:
                self.kernel.at(draw.uniform(0, early), act)

    # what happens

    def _open_store(self, process: Process) -> S3Store:
        kind = CarelessStore if self.planted.takes_own_write_for_a_rival else S3Store
        return open_store(self.store, process, kind)

    def _train(self, pod: Object, process: Process, done: Callable[[int, str], None]) -> None:
        notes = pod["metadata"]["annotations"]
        planned = next(each for each in self.plan.jobs if each.job == notes[labels.JOB_ANNOTATION])
        limit = pod["spec"]["containers"][0]["resources"]["limits"]["memory"].removesuffix("Mi")
        client = self._open_store(process)
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
            jitter=random.Random(f"{self.seed} {process.name}"),
        )
        controller = RunController(
            cluster,
            self._open_store(process),
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

    def _keep_a_launcher(self) -> None:
        """Somebody looks after the run now and then, and attaches again where the launcher has gone."""
        settled = self.launchers and self.launchers[-1].found is not None
        if not self.running() and not settled and not self.healed:
            self.launch("attach")
        if not self.healed:
            self.kernel.at(self.random.uniform(60, 300), self._keep_a_launcher)

    def _kill_launcher(self) -> None:
        if running := self.running():
            self.random.choice(running).process.kill()

    def _pause_launcher(self) -> None:
        if running := self.running():
            self.random.choice(running).process.pause(self.random.uniform(10, 1200))

    def _jump_clock(self) -> None:
        for launcher in self.running():
            launcher.process.skew = self.random.choice([-7200.0, -60.0, 60.0, 7200.0])
            self.kernel.log(launcher.process.name, f"has a clock that is {launcher.process.skew:+.0f} s off")

    def _lose_node(self) -> None:
        seconds = self.random.uniform(100, 1000)
        self.kubernetes.lose_node(self.random.choice(NODES), seconds, partition=self.random.random() < 0.7)

    def _evict(self) -> None:
        pods = sorted(self.server.objects["pods"])
        if pods:
            self.kubernetes.stop(self.random.choice(pods), "EvictionByEvictionAPI")

    def _delete_job(self) -> None:
        jobs = sorted(self.server.objects["jobs"])
        if jobs:
            name = self.random.choice(jobs)
            self.kernel.log("somebody", f"deletes Job {name}")
            self.server.remove("jobs", name)

    def _cancel(self) -> None:
        process = Process(self.kernel, "canceller")
        clock = VirtualClock(process)
        cluster = Cluster(
            lambda: ApiConnection(self.server, process), "sim", clock=clock, jitter=random.Random(self.seed)
        )

        def work() -> None:
            while self.cancelled_at is None:
                try:
                    self.kernel.log("somebody", cancel_run(cluster, RUN, lambda words: None))
                    self.cancelled_at = self.kernel.time
                except AtbError as error:
                    self.kernel.log("somebody", f"could not cancel: {str(error)[:80]}")
                    clock.sleep(30)

        process.start(work)

    def _heal(self) -> None:
        self.kernel.log("world", "all faults cease")
        self.healed = True
        self.server.faults, self.kubernetes.faults = ApiFaults(), ClusterFaults()
        careless = self.planted.ignores_if_none_match
        self.store.faults = StoreFaults(ignores_if_none_match=careless)
        self.kubernetes.dead.clear()

    def _come_to_an_end(self, mode: str) -> None:
        """Without faults a launcher ends, and what it says is the run's end."""
        self.kernel.run(lambda: not self.running(), END_SECONDS)
        if self.running():
            self.invariants.violate(f"{self.running()[0].process.name} never ends")
            return
        if mode == "resume":
            self.cancelled_at = None
        self.launch(mode)
        if not self.kernel.run(lambda: not self.running(), END_SECONDS):
            self.invariants.violate(f"{self.launchers[-1].process.name} never ends")
        # and so does what it has left running
        self.kernel.run(self.kubernetes.is_quiet, END_SECONDS)

    def _collect(self) -> None:
        """Two collections at once, each killed and begun again, and a last one that is left alone."""
        draw, drawn = self.random, self.fate is None
        if drawn:
            self.store.faults.lost = draw.choice([0.0, 0.3])
            self.store.faults.error = draw.choice([0.0, 0.2])
        processes = [self._promote(f"collect-{number}") for number in range(draw.choice([1, 2]) if drawn else 2)]
        for process in processes:
            if drawn and draw.random() < 0.5:
                self.kernel.at(draw.uniform(0, 10), process.kill)
        self.kernel.run(lambda: not any(process.running for process in processes), END_SECONDS)
        self.store.faults.lost = self.store.faults.error = 0.0
        last = self._promote("collect-last")
        if not self.kernel.run(lambda: not last.running, END_SECONDS):
            self.invariants.violate("the collection never ends")

    def _promote(self, name: str) -> Process:
        process = Process(self.kernel, name)
        store, clock = self._open_store(process), VirtualClock(process)
        self.collectors.append(process)

        def work() -> None:
            try:
                record = RunRecord.load(store, RUN)
                for result in record.read_results(store):
                    if isinstance(result, Result):  # one after the other, so that faults and kills fall between
                        candidate = Candidate.of(result)
                        spend(store, candidate, read_rows(store, candidate))
                weighed = weigh_record(store, record, DEFAULT_FDR)
                collect(store, record)
                for promotion in promote_run(store, record, weighed, accept_first=True, clock=clock):
                    decision = readable(f"{promotion.job}: {promotion.decided}: {promotion.reason[:60]}")
                    self.kernel.log(name, decision)
                    self.invariants.check_promotion(promotion, alone=len(self.collectors) == 1 or "last" in name)
            except AtbError as error:
                self.kernel.log(name, readable(f"leaves: {str(error)[:100]}"))
            process.end()

        process.start(work)
        return process


@lru_cache
def plan_of(jobs: int) -> Plan:
    """The plan of a night; the same for each seed."""
    return make_plan(*(f"S{number:02}USDT" for number in range(jobs)), run=RUN)


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
    return violations, history, (night.kernel.steps, night.server.requests + night.store.requests)
