"""The kubernetes backend: a plan's jobs as Jobs of a cluster, and the way back to them from another machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from atb.documents.plan import Plan
from atb.errors import SpecError
from atb.schema import first_problem
from atb.storage import Store
from launcher.kubernetes.options import ClusterOptions
from launcher.plan.build import BackendName
from launcher.plan.signals import catch_stop

if TYPE_CHECKING:
    from launcher.kubernetes.api.client import Cluster
    from launcher.kubernetes.preflight.checks import Check
    from launcher.plan.backend import Mode, Show


@dataclass(frozen=True)
class Access:
    """The way into a cluster; what is None is found as kubectl finds it."""

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None

    def open(self, options: ClusterOptions) -> Cluster:
        """The cluster, in the namespace named here or by the options. Raises SpecError."""
        from launcher.kubernetes.api.connect import open_cluster

        return open_cluster(self.kubeconfig, self.context, self.namespace or options.namespace)


class KubernetesBackend:
    """One Job of a cluster for each job of the plan."""

    name: BackendName = "kubernetes"

    def __init__(self, cluster: Cluster, options: ClusterOptions) -> None:
        self._cluster, self._options = cluster, options.model_copy(update={"namespace": cluster.namespace})

    @property
    def image(self) -> str | None:
        return self._options.image

    @property
    def options(self) -> Mapping[str, Any]:
        return {"cluster": self._options.model_dump(mode="json", exclude_defaults=True)}

    def describe(self, jobs: int) -> str:
        gpus = self._options.gpus
        device = f"{gpus} × {self._options.gpu_resource}" if gpus else "the CPU"
        return f"in namespace {self._cluster.namespace} of {self._cluster.host}, each on {device}"

    def check(self, plan: Plan, store: Store) -> Sequence[Check]:
        """What can be known before anything is created."""
        from launcher.kubernetes.preflight.checks import check_all

        return check_all(self._cluster, store, plan, self._options)

    def render(self, plan: Plan, store: Store) -> Iterator[dict[str, Any]]:
        """The objects that a run creates. The Jobs' reference to their owner needs its uid and comes at creation."""
        from launcher.kubernetes.control.retry import first_attempt
        from launcher.kubernetes.objects.jobs import Target, build_job, build_owner
        from launcher.records.memory_needs import read_memory_needs

        target = Target(plan.run, store.url, store.endpoint_url)
        jobs = plan.to_run
        needs = read_memory_needs(store, jobs)
        yield build_owner(target)
        for planned in jobs:
            attempt = first_attempt(self._options, self._cluster.now(), remembered=needs.get(planned.job, ""))
            yield build_job(planned, target, self._options, attempt)

    def dry_run(self, plan: Plan, store: Store) -> Iterator[dict[str, Any]]:
        """The objects as the server would store them; it checks each strictly and creates none. Raises ApiError."""
        from launcher.kubernetes.api import requests

        for body in self.render(plan, store):
            resource = "jobs" if body["kind"] == "Job" else "configmaps"
            yield self._cluster.send(requests.create(resource, self._cluster.namespace, body, dry_run=True))

    def run(self, plan: Plan, store: Store, show: Show, *, mode: Mode, wait: bool = True) -> int | None:
        from launcher.kubernetes.control.controller import RunController

        with catch_stop() as stopped_by:
            fleet = RunController(self._cluster, store, plan, self._options, show=show)
            fleet.run(mode, wait=wait, stopped=lambda: stopped_by() is not None)
            return stopped_by()


def read_options(plan: Plan) -> ClusterOptions:
    """The options that a run was launched with. Raises SpecError where it is not one of a cluster."""
    if plan.backend != "kubernetes":
        raise SpecError(f"run {plan.run} was done on a machine, not on a cluster; see: atb-launch status {plan.run}")
    return parse_options(plan.options.get("cluster") or {}, f"the plan of run {plan.run}")


def parse_options(fields: Mapping[str, Any], where: str) -> ClusterOptions:
    """Cluster options from plain data. Raises SpecError that names ``where`` and the first problem."""
    if not fields.get("image"):
        raise SpecError("no image to train in: give --image NAME@sha256:… or the image in --cluster-options FILE")
    try:
        return ClusterOptions(**fields)
    except ValidationError as error:
        raise SpecError(f"{where}: {first_problem(error)}") from None
