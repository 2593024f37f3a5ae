"""Decisions over the wire: that what the server says arrives, and what is decided is done. The test plays the kubelet.

What is decided in which case is in ``test_decide``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, ClassVar

import pytest

from atb.contract import keys, labels
from atb.documents.attempt import MemoryNeed, Progress
from atb.documents.plan import Plan
from atb.errors import NetworkError
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.control.decide import QUEUE_SECONDS, nodes_to_avoid
from launcher.kubernetes.control.observe import Observation
from launcher.kubernetes.control.snapshot import read_state
from launcher.kubernetes.objects.ensure import delete_object, mark_owner
from launcher.kubernetes.objects.jobs import job_name, owner_name
from launcher.kubernetes.print_logs import print_logs
from launcher.kubernetes.why import explain_job
from launcher.report.live_table import Row
from tests.apiserver.controller import JobController
from tests.apiserver.http import ApiServer
from tests.apiserver.kubelet import Outcome, add_node, bind, set_running, set_waiting
from tests.launcher.fixtures import ClusterFixture, commit, make_options, make_plan
from tests.launcher.kubernetes.control import live


class Launch:
    """A controller that runs in a thread during the test, until it or the test ends."""

    running: ClassVar[list[Launch]] = []

    def __init__(self, testbed: ClusterFixture, plan: Plan, mode: str = "create", **options: Any) -> None:
        self.rows: list[Row] = []
        self.found: dict[str, Observation] = {}
        self.error: BaseException | None = None
        self.controller = testbed.run_controller(plan, make_options(**options), show=self._show)
        self._mode = mode
        self._stop = threading.Event()
        self.running.append(self)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _show(self, rows: Any, note: str) -> None:
        self.rows = list(rows)

    def _run(self) -> None:
        try:
            self.found = self.controller.run(self._mode, stopped=self._stop.is_set)  # type: ignore[arg-type]
        except BaseException as error:
            self.error = error

    def end(self, seconds: float = 20.0) -> dict[str, Observation]:
        self._thread.join(seconds)
        if self.error:
            raise self.error
        assert not self._thread.is_alive(), self.controller.observations
        return self.found

    def stop(self) -> None:
        """Leave the run as a launcher does when it gets a stop signal."""
        self._stop.set()
        self._thread.join(20)

    def until(self, condition: Callable[[], Any], seconds: float = 10.0) -> Any:
        return until(condition, seconds=seconds)

    def category(self, job: str = "BTCUSDT-fast") -> str:
        return self.controller.observations.get(job, Observation("pending")).category


until = partial(live.until, seconds=10.0)


@pytest.fixture
def lab(server: ApiServer, cluster: Cluster) -> Iterator[ClusterFixture]:
    """A Job controller, and no kubelet: the test is the kubelet."""
    controller = JobController(server.state, "lab").start()
    yield ClusterFixture(cluster, server=server, controller=controller)
    while Launch.running:
        Launch.running.pop().stop()
    controller.stop()


def pod_of(server: ApiServer) -> dict[str, Any]:
    found: dict[str, Any] = until(lambda: server.state.items("pods", "lab"))[0]
    return found


def test_an_unavailable_image_fails_the_job_and_ends_it(server: ApiServer, lab: ClusterFixture) -> None:
    launch = Launch(lab, make_plan("BTCUSDT"), start_seconds=10)
    bind(server.state, pod_of(server), "node-a")
    set_waiting(server.state, pod_of(server), "ErrImagePull", "manifest unknown")
    launch.until(lambda: launch.category() == "image")
    server.advanced = 60  # a minute later
    until(lambda: server.state.items("jobs", "lab")[0]["metadata"]["annotations"].get(labels.VERDICT_ANNOTATION))
    server.state.remove("pods", "lab", pod_of(server)["metadata"]["name"])  # the kubelet has seen the deletion
    found = launch.end()["BTCUSDT-fast"]
    assert (found.state, found.category) == ("failed", "image")
    job = server.state.items("jobs", "lab")[0]
    assert job["spec"]["activeDeadlineSeconds"] == 1
    until(
        lambda: any(
            c["reason"] == "DeadlineExceeded" for c in server.state.items("jobs", "lab")[0]["status"]["conditions"]
        )
    )


def test_a_full_quota_is_read_from_the_events(server: ApiServer, lab: ClusterFixture) -> None:
    assert lab.controller is not None
    lab.controller.pod_quota = 0
    launch = Launch(lab, make_plan("BTCUSDT"))
    until(lambda: server.state.items("events", "lab"))
    server.advanced = 40
    launch.until(lambda: launch.category() == "quota")
    lab.controller.pod_quota = None
    commit(lab.store, "run-1", make_plan("BTCUSDT").jobs[0])
    finish(server, 0)
    assert launch.end()["BTCUSDT-fast"].state == "done"


def finish(server: ApiServer, code: int, reason: str = "") -> None:
    from tests.apiserver.kubelet import set_terminated

    pod = pod_of(server)
    bind(server.state, pod, "node-a")
    set_running(server.state, server.state.get("pods", "lab", pod["metadata"]["name"]))
    set_terminated(server.state, server.state.get("pods", "lab", pod["metadata"]["name"]), code, reason)


def test_a_node_that_fails_two_symbols_is_kept_out_of_later_attempts(fake: ClusterFixture) -> None:
    plan = make_plan("BTCUSDT", "ETHUSDT", "SOLUSDT")
    assert fake.kubelet is not None
    assert fake.server is not None

    def behave(pod: dict[str, Any]) -> Outcome:
        if pod["spec"]["nodeName"] == "node-a":
            return Outcome(code=21)
        job = pod["metadata"]["annotations"][labels.JOB_ANNOTATION]
        commit(fake.store, plan.run, next(planned for planned in plan.jobs if planned.job == job))
        return Outcome()

    fake.kubelet.behave = behave
    controller = fake.run_controller(plan, make_options(infrastructure_retries=3))
    found = controller.run("create")
    assert {one.state for one in found.values()} == {"done"}
    assert "node-a" in nodes_to_avoid(controller.state)
    last = [job for job in fake.server.state.items("jobs", "lab") if job["metadata"]["annotations"]["atb/try"] != "0"]
    excluded = [job["spec"]["template"]["spec"].get("affinity", {}) for job in last]
    assert any("requiredDuringSchedulingIgnoredDuringExecution" in each["nodeAffinity"] for each in excluded)


def test_a_job_that_is_interrupted_on_spot_nodes_is_done_on_demand(fake: ClusterFixture) -> None:
    plan = make_plan("BTCUSDT", "ETHUSDT")
    assert fake.kubelet is not None
    assert fake.server is not None
    add_node(fake.server.state, "spot-1", capacity="spot")
    seen: dict[str, list[str]] = {}

    def behave(pod: dict[str, Any]) -> Outcome:
        job, node = pod["metadata"]["annotations"][labels.JOB_ANNOTATION], pod["spec"]["nodeName"]
        seen.setdefault(job, []).append(node)
        if job == "BTCUSDT-fast" and node == "spot-1":
            return Outcome(code=143, disrupted=True)
        commit(fake.store, plan.run, next(planned for planned in plan.jobs if planned.job == job))
        return Outcome()

    fake.kubelet.behave = behave
    controller = fake.run_controller(plan, make_options(spot="capacity=spot", on_demand_after=2))
    found = controller.run("create")
    assert {one.state for one in found.values()} == {"done"}
    assert seen["ETHUSDT-fast"] == ["spot-1"]
    assert seen["BTCUSDT-fast"][:2] == ["spot-1", "spot-1"]
    assert set(seen["BTCUSDT-fast"]) - {"spot-1"}
    tries = [job for job in fake.server.state.items("jobs", "lab") if labels.ON_DEMAND_ANNOTATION in notes_on(job)]
    assert [notes_on(job)[labels.CAUSE_ANNOTATION] for job in tries] == ["on demand after preempted on spot-1"]


def notes_on(job: dict[str, Any]) -> dict[str, str]:
    notes: dict[str, str] = job["metadata"]["annotations"]
    return notes


def test_jobs_that_are_done_leave_the_cluster_once_their_logs_are_stored_and_are_not_made_again(
    fake: ClusterFixture,
) -> None:
    plan = make_plan("BTCUSDT", "ETHUSDT", "SOLUSDT")
    assert fake.kubelet is not None
    assert fake.server is not None

    def behave(pod: dict[str, Any]) -> Outcome:
        name = pod["metadata"]["annotations"][labels.JOB_ANNOTATION]
        if name == "SOLUSDT-fast":
            return Outcome(code=10)
        commit(fake.store, plan.run, next(planned for planned in plan.jobs if planned.job == name))
        for document in ("log.txt", "exit.json") if name == "BTCUSDT-fast" else ("exit.json",):
            fake.store.put(keys.attempt(plan.run, name, 1, document), b"trained")
        return Outcome()

    fake.kubelet.behave = behave
    first = fake.run_controller(plan, make_options()).run("create")
    left = {job["metadata"]["annotations"][labels.JOB_ANNOTATION] for job in fake.server.state.items("jobs", "lab")}
    assert left == {"ETHUSDT-fast", "SOLUSDT-fast"}, "its log is only in its Pod; it failed"
    created = len(fake.server.seen("POST", "/jobs$"))
    for mode in ("attach", "create"):
        again = fake.run_controller(plan, make_options()).run(mode)
        assert {job: one.state for job, one in again.items()} == {job: one.state for job, one in first.items()}
    assert len(fake.server.seen("POST", "/jobs$")) == created
    printed: list[str] = []
    print_logs(
        fake.cluster,
        fake.store,
        plan.run,
        plan.jobs[:1],
        printed.append,
        packed=False,
        named=False,
        follow=False,
        tail=5,
    )
    assert printed == ["trained"]


def test_memory_that_was_needed_is_where_the_next_run_begins(fake: ClusterFixture) -> None:
    assert fake.kubelet is not None
    assert fake.server is not None
    plan = make_plan("BTCUSDT")

    def behave(pod: dict[str, Any]) -> Outcome:
        if pod["spec"]["containers"][0]["resources"]["limits"]["memory"] == "64Mi":
            return Outcome(code=137, reason="OOMKilled")
        commit(fake.store, pod["metadata"]["labels"][labels.RUN_LABEL], plan.jobs[0], peak=70 << 20)
        return Outcome()

    fake.kubelet.behave = behave
    fake.run_controller(plan, make_options()).run("create")
    spec = plan.jobs[0].spec
    need = MemoryNeed.from_bytes(fake.store.get(keys.memory(spec.symbol, spec.timeframe, spec.preset)), "need")
    assert (need.memory, need.peak_memory_bytes) == ("96Mi", 70 << 20)
    fake.run_controller(make_plan("BTCUSDT", run="run-2"), make_options()).run("create")
    second = fake.server.state.get("jobs", "lab", job_name("run-2", "BTCUSDT-fast"))
    assert second["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] == "96Mi"


def test_a_cancelled_run_ends_as_cancelled_for_whoever_follows_it(server: ApiServer, lab: ClusterFixture) -> None:
    launch = Launch(lab, make_plan("BTCUSDT"))
    pod_of(server)
    mark_owner(lab.cluster, "run-1", {labels.CANCELLED_ANNOTATION: "now"})
    delete_object(lab.cluster, "jobs", job_name("run-1", "BTCUSDT-fast"))
    assert launch.end()["BTCUSDT-fast"].category == "cancelled"
    assert Launch(lab, make_plan("BTCUSDT"), "attach").end()["BTCUSDT-fast"].category == "cancelled"


def notes(server: ApiServer) -> dict[str, str]:
    found: dict[str, str] = server.state.get("configmaps", "lab", owner_name("run-1"))["metadata"].get(
        "annotations", {}
    )
    return found


def test_progress_reaches_the_table_through_the_store(server: ApiServer, lab: ClusterFixture) -> None:
    launch = Launch(lab, make_plan("BTCUSDT"))
    pod = pod_of(server)
    bind(server.state, pod, "node-a")
    set_running(server.state, server.state.get("pods", "lab", pod["metadata"]["name"]))
    updated = datetime.now(UTC) + timedelta(seconds=1)
    progress = Progress(
        attempt=1, stage="fit", epoch=7, epochs=100, validation_loss=0.25, eta_seconds=90.0, updated=updated
    )
    lab.store.put(keys.progress("run-1", "BTCUSDT-fast"), progress.to_bytes())
    row = launch.until(lambda: next((row for row in launch.rows if row.epoch), None), 15)
    assert (row.state, row.node, row.epoch, row.epochs, row.validation_loss) == ("running", "node-a", 7, 100, 0.25)


def test_a_queued_job_shows_why_its_queue_lets_it_wait(server: ApiServer, lab: ClusterFixture) -> None:
    server.kueue = True
    launch = Launch(lab, make_plan("BTCUSDT"), queue="team-a")
    job = until(lambda: server.state.items("jobs", "lab"))[0]
    assert job["spec"]["suspend"] is True
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": job["metadata"]["name"], "uid": job["metadata"]["uid"]}
    message = "couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu"
    condition = {"type": "QuotaReserved", "status": "False", "reason": "Pending", "message": message}
    meta = {"name": "job-x", "ownerReferences": [owner]}
    server.state.create("workloads", "lab", {"metadata": meta, "status": {"conditions": [condition]}})
    server.advanced = QUEUE_SECONDS  # the queue may have been read already, without the workload
    launch.until(lambda: any(row.detail == message for row in launch.rows))
    plan = make_plan("BTCUSDT")
    state = read_state(lab.cluster, lab.store, plan, make_options(queue="team-a"))
    assert f"reason    {message}" in explain_job(lab.cluster, lab.store, state, plan, plan.jobs[0])
    server.state.patch("jobs", "lab", job["metadata"]["name"], {"spec": {"suspend": False}})
    assert pod_of(server)


def test_watches_and_lists_do_not_grow_with_the_run(fake: ClusterFixture) -> None:
    plan = make_plan(*(f"S{number}USDT" for number in range(40)))
    assert fake.kubelet is not None
    fake.kubelet.behave = lambda pod: Outcome(code=10)
    fake.run_controller(plan, make_options(create_rate=1000)).run("create")
    assert fake.server is not None
    assert len(fake.server.seen("GET", "/(jobs|pods)$", watch="true")) <= 4
    assert len(fake.server.seen("GET", "/(jobs|pods)$", limit="500")) == 2
    assert len(fake.server.seen("GET", "/events$")) == 0


def test_an_odd_answer_costs_no_run_and_no_job(server: ApiServer, lab: ClusterFixture) -> None:
    server.fail("POST", "/jobs$", 302, times=2)
    server.fail("PATCH", "/configmaps/", 422)
    launch = Launch(lab, make_plan("BTCUSDT"))
    pod_of(server)
    until(lambda: launch.controller.state.unanswered)
    server.advanced = 20
    until(lambda: labels.CREATED_ANNOTATION in notes(server))
    commit(lab.store, "run-1", make_plan("BTCUSDT").jobs[0])
    finish(server, 0)
    assert launch.end()["BTCUSDT-fast"].state == "done"


def test_a_quiet_run_is_not_mistaken_for_a_silent_server(server: ApiServer, lab: ClusterFixture) -> None:
    server.bookmark_seconds = 0.05
    launch = Launch(lab, make_plan("BTCUSDT"))
    pod_of(server)
    server.fail("GET", "/jobs$", 500, times=2)
    server.drop_connections()
    launch.until(lambda: server.seen("GET", "/jobs$", watch="true")[3:])
    time.sleep(1.0)
    server.advanced = 2_000
    time.sleep(1.0)
    commit(lab.store, "run-1", make_plan("BTCUSDT").jobs[0])
    finish(server, 0)
    assert launch.end()["BTCUSDT-fast"].state == "done"


def test_a_server_that_is_silent_for_long_is_left(server: ApiServer, lab: ClusterFixture) -> None:
    launch = Launch(lab, make_plan("BTCUSDT"))
    pod_of(server)
    until(lambda: labels.CREATED_ANNOTATION in notes(server))
    server.stop()
    time.sleep(1.0)
    server.advanced = 2_000
    with pytest.raises(NetworkError, match="continue without this launcher"):
        launch.end()
    server.start()
