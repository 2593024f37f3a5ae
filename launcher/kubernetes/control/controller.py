"""Follows a run to its end: takes in observations, decides, and performs the decisions.

Everything this knows can be found again in the cluster and the store, so a launcher that is killed at any point and
attached again continues: names are deterministic, an attempt's history is on its Job, a Job given up says so itself.
One thread owns the state; the watches and the pool hand it what they found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from atb.documents.plan import Plan
from atb.errors import NetworkError
from atb.storage import Store
from atb.threads import SYSTEM_THREADS, Threads
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.informer import Change, Informer
from launcher.kubernetes.control import apply
from launcher.kubernetes.control.actions import Action, Finish, Leave
from launcher.kubernetes.control.decide import SILENCE_SECONDS, decide
from launcher.kubernetes.control.observe import Observation
from launcher.kubernetes.control.perform import Build, Performer
from launcher.kubernetes.control.prepare import prepare
from launcher.kubernetes.control.request_pool import RequestPool
from launcher.kubernetes.control.state import RunState
from launcher.kubernetes.objects.job_status import JobStatus, PodStatus, read_job, read_pod
from launcher.kubernetes.objects.jobs import build_job, run_selector
from launcher.kubernetes.options import ClusterOptions
from launcher.plan.backend import Mode
from launcher.report.live_table import Row

REQUESTS = 16
"""Requests under way at a time."""
TICK = 0.25
"""Seconds between two decisions where nothing changes."""
SHOW_SECONDS = 1.0
SHOW_SHARE = 20
"""Showing thousands of jobs takes a while: at most a twentieth of the time goes into it."""


class RunController:
    """One run on one cluster. ``show`` is called with the rows and a note, at most once a second."""

    def __init__(
        self,
        cluster: Cluster,
        store: Store,
        plan: Plan,
        options: ClusterOptions,
        *,
        show: Callable[[Sequence[Row], str], None] | None = None,
        build: Build = build_job,
        threads: Threads = SYSTEM_THREADS,
        tick: float = TICK,
        rules: Callable[[RunState, float], list[Action]] = decide,
    ) -> None:
        self._cluster, self._store, self._plan, self._options = cluster, store, plan, options
        self._show, self._build, self._threads, self._tick, self._rules = show, build, threads, tick, rules
        self.state = RunState(plan, options)

    @property
    def observations(self) -> dict[str, Observation]:
        """The state of each job as people are shown it."""
        return {job: self.state.shown(job, self._cluster.now()) for job in self.state.planned}

    def run(
        self, mode: Mode, *, wait: bool = True, stopped: Callable[[], bool] = lambda: False
    ) -> dict[str, Observation]:
        """Create what the mode says and, unless ``wait`` is false, follow to the end, or until ``stopped``.

        create: what is missing. attach: only what a creation that was cut short left out. resume: what failed, too.

        Raises SpecError where the cluster holds another run of that name, NetworkError where it stays silent,
        StoreError.
        """
        if not self._plan.to_run:
            return {}
        cluster, store, plan, options = self._cluster, self._store, self._plan, self._options
        self.state, target = prepare(cluster, store, plan, options, mode, wait=wait)
        performer = Performer(cluster, store, plan, options, target, self._build)
        with RequestPool(REQUESTS, cluster.clock, self._threads) as pool:
            informers = self._watch(pool, wait)
            try:
                self._follow(pool, informers, performer, stopped)
            finally:
                cluster.on_wait = lambda words: None
                for informer in informers:
                    informer.stop()
        if self._show is not None:
            self._show(self.state.rows(cluster.now()), "")
        return self.observations

    def _watch(self, pool: RequestPool, wait: bool) -> list[Informer[Any]]:
        cluster, state, threads = self._cluster, self.state, self._threads
        selector = run_selector(self._plan.run)
        cluster.on_wait = pool.poster(self._on_wait)
        self._store.on_wait = pool.poster(partial(apply.apply_store_note, state))
        follow = partial(Informer[Any], cluster, selector=selector, threads=threads, changes=wait)
        informers = [
            follow("jobs", read=read_job, tell=pool.poster(self._on_job)),
            follow("pods", read=read_pod, tell=pool.poster(self._on_pod)),
        ]
        for informer in informers:
            informer.start()
        return informers

    def _follow(
        self, pool: RequestPool, informers: list[Informer[Any]], performer: Performer, stopped: Callable[[], bool]
    ) -> None:
        cluster, state, show_at, tick = self._cluster, self.state, 0.0, self._tick
        while not stopped():
            pool.drain(tick)
            tick = self._tick
            for informer in informers:
                if informer.failed is not None:
                    raise informer.failed
            for action in self._rules(state, cluster.now()):
                if isinstance(action, Leave):
                    return self._leave(action)
                apply.begin(state, action, cluster.now())
                if isinstance(action, Finish):
                    tick = 0.0  # there may be nothing left to wait for
                else:
                    pool.submit(partial(performer.perform, action), partial(self._on_done, action))
            if self._show is not None and (began := cluster.clock.monotonic()) >= show_at:
                self._show(state.rows(cluster.now()), state.summary(cluster.now()))
                show_at = began + max(SHOW_SECONDS, SHOW_SHARE * (cluster.clock.monotonic() - began))
        return None

    def _on_job(self, change: Change[JobStatus]) -> None:
        apply.apply_job(self.state, self._cluster.now(), change)

    def _on_pod(self, change: Change[PodStatus]) -> None:
        apply.apply_pod(self.state, self._cluster.now(), change)

    def _on_wait(self, words: str) -> None:
        apply.apply_note(self.state, self._cluster.now(), words)

    def _on_done(self, action: Action, outcome: Any) -> None:
        apply.finish(self.state, action, self._cluster.now(), outcome)

    def _leave(self, why: Leave) -> None:
        if why.silent:
            raise NetworkError(
                f"the API server {self._cluster.host} has not answered for {SILENCE_SECONDS / 60:.0f} minutes; the "
                "Jobs continue without this launcher"
            )
