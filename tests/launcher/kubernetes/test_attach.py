"""A launcher killed at every step of a fan-out and attached again. Kills are simulated in front of the fake server and
the store: from a given request on, nothing more leaves the launcher."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from atb.contract import keys, labels
from atb.documents.plan import Plan, PlannedJob
from atb.storage import MemoryStore
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.connect import open_cluster
from launcher.kubernetes.api.requests import Call
from launcher.kubernetes.control.controller import RunController
from launcher.kubernetes.options import ClusterOptions
from tests.apiserver.kubelet import Outcome
from tests.launcher.fixtures import ClusterFixture, commit, make_options, make_plan

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


class Killed(BaseException):
    """The launcher's process is gone."""


class Life:
    """How many requests that change something a launcher makes before it is killed, before or after the last one."""

    def __init__(self, steps: int | None, *, after: bool = False) -> None:
        self.left = steps
        self.after = after
        self.used = 0
        self._lock = threading.Lock()
        self._dead = False

    def spend(self, act: Callable[[], Any]) -> Any:
        with self._lock:
            if self._dead:
                raise Killed
            self.used += 1
            last = self.left is not None and self.used >= self.left
            self._dead = last
        if last and not self.after:
            raise Killed
        answer = act()
        if last:
            raise Killed
        return answer


class MortalCluster(Cluster):
    """A cluster whose writes are counted."""

    life: Life

    def send(self, call: Call, read: Callable[[dict[str, Any]], Any] = lambda answer: answer) -> Any:
        if call.method == "GET":
            return super().send(call, read)
        return self.life.spend(lambda: super(MortalCluster, self).send(call, read))


class MortalStore(MemoryStore):
    """A store whose writes are counted; its objects are another's."""

    def __init__(self, inner: MemoryStore, life: Life) -> None:
        super().__init__()
        self._objects, self._lock, self._life = inner._objects, inner._lock, life

    def put(self, key: str, data: bytes) -> str:
        return str(self._life.spend(lambda: super(MortalStore, self).put(key, data)))

    def delete(self, key: str) -> None:
        self._life.spend(lambda: super(MortalStore, self).delete(key))

    def delete_if_match(self, key: str, etag: str) -> None:
        self._life.spend(lambda: super(MortalStore, self).delete_if_match(key, etag))


def behave(testbed: ClusterFixture, plan: Plan) -> Callable[[dict[str, Any]], Outcome]:
    """BTC trains well, ETH runs out of memory once and then trains well, SOL has bad data."""
    planned = {job.job: job for job in plan.jobs}

    def act(pod: dict[str, Any]) -> Outcome:
        job: PlannedJob = planned[pod["metadata"]["annotations"][labels.JOB_ANNOTATION]]
        memory = pod["spec"]["containers"][0]["resources"]["limits"]["memory"]
        if job.spec.symbol == "SOLUSDT":
            return Outcome(code=10)
        if job.spec.symbol == "ETHUSDT" and memory == "64Mi":
            return Outcome(code=137, reason="OOMKilled")
        commit(testbed.store, plan.run, job)
        return Outcome()

    return act


def launch(testbed: ClusterFixture, plan: Plan, options: ClusterOptions, life: Life, mode: str, folder: Path) -> Any:
    assert testbed.server is not None
    kubeconfig = str(folder / "kubeconfig.json")
    made = open_cluster(kubeconfig)
    cluster = MortalCluster(made._connect, made.namespace, retry_seconds=5.0)
    cluster.life = life
    try:
        return RunController(cluster, MortalStore(testbed.store, life), plan, options).run(mode)  # type: ignore[arg-type]
    finally:
        cluster.close()
        made.close()


def _check_end(testbed: ClusterFixture, plan: Plan, found: Any) -> None:
    assert testbed.server is not None
    states = {job: (one.state, one.category) for job, one in found.items()}
    assert states == {
        "BTCUSDT-fast": ("done", ""),
        "ETHUSDT-fast": ("done", ""),
        "SOLUSDT-fast": ("failed", "bad-data"),
    }
    made = Counter(
        item["metadata"]["annotations"][labels.JOB_ANNOTATION] for item in testbed.server.state.items("jobs", "lab")
    )
    assert made == {"BTCUSDT-fast": 1, "ETHUSDT-fast": 2, "SOLUSDT-fast": 1}
    pods = Counter(
        pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] for pod in testbed.server.state.items("pods", "lab")
    )
    assert set(pods.values()) == {1}
    testbed.store.get(keys.verdict(plan.run, "SOLUSDT-fast"))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("steps", range(1, 11))
def test_a_launcher_killed_at_any_step_and_attached_again_loses_no_job_and_makes_none_twice(
    fake: ClusterFixture, tmp_path: Path, steps: int, after: bool
) -> None:
    plan, options = make_plan(*SYMBOLS), make_options()
    assert fake.kubelet is not None
    fake.kubelet.behave = behave(fake, plan)
    fake.store.put(keys.plan(plan.run), plan.to_bytes())
    life = Life(steps, after=after)
    try:
        found = launch(fake, plan, options, life, "create", tmp_path)
    except Killed:
        again = "attach" if steps > 1 or after else "create"  # before its ConfigMap a run is only a plan
        found = launch(fake, plan, options, Life(None), again, tmp_path)
    _check_end(fake, plan, found)


def test_the_steps_above_are_all_there_are(fake: ClusterFixture, tmp_path: Path) -> None:
    plan = make_plan(*SYMBOLS)
    assert fake.kubelet is not None
    fake.kubelet.behave = behave(fake, plan)
    life = Life(None)
    _check_end(fake, plan, launch(fake, plan, make_options(), life, "create", tmp_path))
    assert life.used <= 10


def test_two_launchers_at_once_make_each_job_once(fake: ClusterFixture, tmp_path: Path) -> None:
    plan, options = make_plan(*SYMBOLS), make_options()
    assert fake.kubelet is not None
    fake.kubelet.behave = behave(fake, plan)
    found: list[Any] = []

    def one() -> None:
        found.append(launch(fake, plan, options, Life(None), "create", tmp_path))

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 2
    for each in found:
        _check_end(fake, plan, each)


def test_attaching_to_a_finished_run_changes_nothing(fake: ClusterFixture, tmp_path: Path) -> None:
    plan, options = make_plan(*SYMBOLS), make_options()
    assert fake.kubelet is not None
    assert fake.server is not None
    fake.kubelet.behave = behave(fake, plan)
    launch(fake, plan, options, Life(None), "create", tmp_path)
    before = len(fake.server.seen("POST", "")), len(fake.server.seen("PATCH", ""))
    found = launch(fake, plan, options, Life(None), "attach", tmp_path)
    _check_end(fake, plan, found)
    assert (len(fake.server.seen("POST", "")), len(fake.server.seen("PATCH", ""))) == before
