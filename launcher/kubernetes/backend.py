"""The kubernetes backend: a plan's jobs as Jobs of a cluster, and the way back to them from another machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atb.documents.plan import Plan, PlannedJob
from atb.errors import AtbError, SpecError
from atb.storage import Store
from launcher.kubernetes.options import ClusterOptions
from launcher.kubernetes.read_options import parse_options, read_options
from launcher.plan.backend import Setup
from launcher.plan.build import find_job
from launcher.plan.cost import Shape
from launcher.plan.signals import catch_stop
from launcher.records.categories import CATEGORIES

if TYPE_CHECKING:
    from launcher.kubernetes.api.client import Cluster
    from launcher.kubernetes.packed.controller import PackedController
    from launcher.plan.backend import Check, Mode, Say, Show
    from launcher.report.live_table import Row

_ACCESS = ("kubeconfig", "context")
"""The way to the cluster, which a plan does not keep."""
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


def detect(environment: Mapping[str, str], account: Path = ACCOUNT) -> str | None:
    """Where a cluster is configured. Raises SpecError where KUBECONFIG names files that are not there: a broken
    configuration is not a reason to train on this machine."""
    if named := environment.get("KUBECONFIG"):
        files = [Path(os.path.expanduser(part)) for part in named.split(os.pathsep) if part]
        if found := next((path for path in files if path.is_file()), None):
            return f"KUBECONFIG names {found}"
        raise SpecError(f"KUBECONFIG is {named} and no such file is there; correct it, or add --backend local")
    home = Path(environment.get("HOME", "~")).expanduser() / ".kube" / "config"
    if home.is_file():
        return f"there is {home}"
    if "KUBERNETES_SERVICE_HOST" in environment and account.is_file():
        return "this is a Pod with an account"
    return None


def clean_all(setup: Setup, *, force: bool) -> str:
    """Remove the objects of every run from the namespace that the flags name. Raises SpecError, ApiError."""
    from launcher.kubernetes.api.connect import open_cluster
    from launcher.kubernetes.cleanup import clean_namespace

    named = {**setup.defaults, **setup.flags}
    cluster = open_cluster(named.get("kubeconfig"), named.get("context"), named.get("namespace"))
    return clean_namespace(cluster, force=force)


def open_backend(setup: Setup) -> KubernetesBackend:
    """The cluster that the flags name, with the options of the run it is opened for. Raises SpecError."""
    from launcher.kubernetes.api.connect import describe_cluster, open_cluster

    flags, own, parallel = setup.flags, set(ClusterOptions.model_fields), setup.launch.max_parallel
    if setup.plan is None or setup.plan.backend != KubernetesBackend.name:  # a plan of another one says nothing of it
        base, where = {name: value for name, value in setup.defaults.items() if name in own}, "the cluster's options"
    else:
        base, where = setup.plan.options.get("cluster") or {}, f"the options of run {setup.plan.run}"
        flags = {name: value for name, value in flags.items() if name in setup.given or name in _ACCESS}
        parallel = parallel if "max_parallel" in setup.given else None
    options = read_options(flags, base, where)
    if parallel is not None and (options.workers is None or "max_parallel" in setup.given):
        fields = options.model_dump(mode="json", exclude_defaults=True)
        options = parse_options({**fields, "max_parallel": parallel}, where)
    if options.max_parallel is not None and not setup.launch.wait:
        raise SpecError("--max-parallel needs a launcher that creates Jobs as others end: leave out --no-wait")
    try:
        cluster = open_cluster(flags.get("kubeconfig"), flags.get("context"), options.namespace)
    except SpecError as error:
        if setup.launch.dry_run != "client":
            raise
        cluster = describe_cluster(options.namespace, error)  # what would be created can still be shown
    return KubernetesBackend(cluster, options)


def shape_of(plan: Plan) -> Shape:
    """A Pod for each job, or workers. Raises SpecError for options that this version does not have."""
    options = parse_options(plan.options.get("cluster") or {}, f"the options of run {plan.run}")
    if options.workers is None:
        return Shape(options.gpus, 1, options.max_parallel)
    slots = options.worker_slots
    return Shape(options.gpus, slots, None if options.workers == "auto" else options.workers * slots)


class KubernetesBackend:
    """One Kubernetes Job for each job of the plan, or one Job whose Pods are workers."""

    name = "kubernetes"
    outlives_launcher = True

    def __init__(self, cluster: Cluster, options: ClusterOptions) -> None:
        self._cluster, self._options = cluster, options.model_copy(update={"namespace": cluster.namespace})

    @property
    def image(self) -> str | None:
        return self._options.image

    @property
    def options(self) -> Mapping[str, Any]:
        cluster = self._options.model_dump(mode="json", exclude_defaults=True)
        return {"cluster": cluster, "gpus": self._options.gpus}

    @property
    def exit_codes(self) -> Mapping[str, int]:
        return {name: category.exit_code for name, category in CATEGORIES.items()}

    def describe(self, jobs: int) -> str:
        gpus = self._options.gpus
        device = f"{gpus} × {self._options.gpu_resource}" if gpus else "the CPU"
        place = f"in namespace {self._cluster.namespace} of {self._cluster.host}"
        if (workers := self._options.workers) is None:
            return f"{place}, each on {device}"
        count = "as many workers as have room" if workers == "auto" else f"{workers} worker{'s' * (workers != 1)}"
        return f"{place} by {count}, {self._options.worker_slots} at a time in each, on {device}"

    def check(self, plan: Plan, store: Store) -> Sequence[Check]:
        from launcher.kubernetes.preflight.checks import check_all

        return check_all(self._cluster, store, plan, self._options)

    def render(self, plan: Plan, store: Store, *, server: bool) -> Iterator[str]:
        """The Jobs' reference to their owner needs its uid and comes at creation. The server checks each object
        strictly and creates none. Raises ApiError."""
        from launcher.kubernetes.api import requests
        from launcher.kubernetes.objects.render import render_yaml

        for body in self._build(plan, store, server=server):
            if server:
                resource = "jobs" if body["kind"] == "Job" else "configmaps"
                body = self._cluster.send(requests.create(resource, self._cluster.namespace, body, dry_run=True))
            yield render_yaml([body])

    def _build(self, plan: Plan, store: Store, *, server: bool) -> Iterator[dict[str, Any]]:
        from launcher.kubernetes.control.retry import first_attempt
        from launcher.kubernetes.objects.jobs import build_job, build_owner
        from launcher.kubernetes.objects.pod import Target
        from launcher.kubernetes.objects.worker_job import build_worker_job
        from launcher.kubernetes.packed.run import count_workers, first_round
        from launcher.records.memory_needs import read_memory_needs

        target = Target(plan.run, store.url, store.endpoint_url)
        try:
            needs = read_memory_needs(store, plan.to_run)
        except AtbError:
            if server:
                raise
            needs = {}
        yield build_owner(target)
        if self._options.workers is not None:
            shape = first_round(plan, self._options, count_workers(self._cluster, self._options))
            yield build_worker_job(plan, target, self._options, shape)
            return
        for planned in plan.to_run:
            attempt = first_attempt(self._options, self._cluster.now(), remembered=needs.get(planned.job, ""))
            yield build_job(planned, target, self._options, attempt)

    def run(self, plan: Plan, store: Store, show: Show, *, mode: Mode, wait: bool = True) -> int | None:
        from launcher.kubernetes.control.controller import RunController
        from launcher.kubernetes.packed.run import run_packed

        with catch_stop() as stopped_by, stopped_by.breakable():  # what is left in the middle can be attached again
            if self._options.workers is not None:
                run_packed(self._cluster, store, plan, self._options, show, stopped_by, mode=mode, wait=wait)
            else:
                controller = RunController(self._cluster, store, plan, self._options, show=show)
                controller.run(mode, wait=wait, stopped=lambda: stopped_by() is not None)
        return stopped_by()

    def rows(self, plan: Plan, store: Store) -> Sequence[Row]:
        from launcher.kubernetes.control.snapshot import read_state

        if self._options.workers is not None:
            return self._packed(plan, store).look()
        return read_state(self._cluster, store, plan, self._options).rows(self._cluster.now())

    def explain(self, plan: Plan, store: Store, planned: PlannedJob) -> Sequence[str]:
        from launcher.kubernetes.control.snapshot import read_state
        from launcher.kubernetes.packed.look import explain_packed
        from launcher.kubernetes.why import explain_job

        if self._options.workers is not None:
            return list(explain_packed(self._cluster, store, self._packed(plan, store), plan, planned))
        state = read_state(self._cluster, store, plan, self._options)
        return list(explain_job(self._cluster, store, state, plan, planned))

    def print_logs(
        self, plan: Plan, store: Store, job: str | None, say: Say, *, follow: bool, tail: int | None
    ) -> None:
        from launcher.kubernetes.print_logs import print_logs

        jobs = [find_job(plan, job)] if job else plan.to_run
        packed = self._options.workers is not None
        print_logs(
            self._cluster, store, plan.run, jobs, say, packed=packed, named=job is None, follow=follow, tail=tail
        )

    def _packed(self, plan: Plan, store: Store) -> PackedController:
        from launcher.kubernetes.packed.controller import PackedController

        return PackedController(self._cluster, store, plan, self._options, 1)

    def cancel(self, plan: Plan, confirm: Say) -> str:
        from launcher.kubernetes.cleanup import cancel_run

        return cancel_run(self._cluster, plan.run, confirm)

    def clean(self, plan: Plan, *, force: bool) -> str:
        from launcher.kubernetes.cleanup import clean_run

        return clean_run(self._cluster, plan.run, force=force)
