"""Commands about a run on a cluster. They need its cluster and its store, and nothing of the machine it began on."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from launcher.cli.flags import access_options, read_access
from launcher.cli.stores import with_store

if TYPE_CHECKING:
    from atb.documents.plan import Plan, PlannedJob
    from atb.storage import Store
    from launcher.kubernetes.api.client import Cluster
    from launcher.kubernetes.options import ClusterOptions


@click.command()
@click.argument("run")
@click.option("--promote", type=click.Choice(["auto", "manual"]), default="manual", show_default=True)
@click.option("--accept-first", is_flag=True, help="With --promote auto: first models need no skill shown.")
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@access_options
@with_store
def attach(store: Store, run: str, promote: str, accept_first: bool, output: str, **access: Any) -> None:
    """Follow a RUN of a cluster to its end, from wherever you are, and collect it."""
    from launcher.cli.run import Ending, follow
    from launcher.kubernetes.backend import KubernetesBackend
    from launcher.plan.build import read_plan

    plan = read_plan(store, run)
    cluster, options = open_run(plan, access)
    backend = KubernetesBackend(cluster, options)
    code = follow(plan, store, backend, "attach", Ending(promote, accept_first, output))
    click.get_current_context().exit(code)


@click.command()
@click.argument("run")
@click.option("--yes", is_flag=True, help="Don't ask.")
@access_options
@with_store
def cancel(store: Store, run: str, yes: bool, **access: Any) -> None:
    """Stop what is left of a RUN. Its trainings save a checkpoint, and --resume goes on from there."""
    from atb.contract import labels
    from launcher.kubernetes.objects.ensure import delete_object, find_owner, mark_owner
    from launcher.kubernetes.objects.job_status import read_job
    from launcher.kubernetes.objects.jobs import run_selector
    from launcher.plan.build import read_plan

    plan = read_plan(store, run)
    cluster, _ = open_run(plan, access)
    if find_owner(cluster, run) is None:
        raise _not_here(run, cluster)
    # marked first: a launcher that is creating or following takes what vanishes for cancelled, and makes no more
    live = [facts for facts in cluster.list("jobs", read_job, selector=run_selector(run))[0].values() if facts.live]
    if live and not yes:
        click.confirm(f"stop {len(live)} Jobs of run {run}?", abort=True, err=True)
    mark_owner(cluster, run, {labels.CANCELLED_ANNOTATION: datetime.now(UTC).isoformat(timespec="seconds")})
    stopped = sum(delete_object(cluster, "jobs", facts.name) for facts in live)
    click.echo(f"cancelled run {run}: {stopped} Jobs stopped; go on later with: atb-launch --resume {run}")


@click.command()
@click.argument("run")
@click.option("--force", is_flag=True, help="Also where Jobs are still live.")
@access_options
@with_store
def clean(store: Store, run: str, force: bool, **access: Any) -> None:
    """Remove a RUN's objects from its cluster; what it left in the store stays."""
    from atb.errors import SpecError
    from launcher.kubernetes.objects.ensure import delete_object
    from launcher.kubernetes.objects.job_status import read_job
    from launcher.kubernetes.objects.jobs import owner_name, run_selector
    from launcher.plan.build import read_plan

    plan = read_plan(store, run)
    cluster, _ = open_run(plan, access)
    jobs, _ = cluster.list("jobs", read_job, selector=run_selector(run))
    live = sum(facts.live for facts in jobs.values())
    if live and not force:
        raise SpecError(f"{live} Jobs of run {run} are live; stop them with: atb-launch cancel {run}, or add --force")
    if not delete_object(cluster, "configmaps", owner_name(run)):
        raise _not_here(run, cluster)
    click.echo(f"removed run {run} from {cluster.namespace}: {len(jobs)} Jobs go with it")


def open_run(plan: Plan, access: Mapping[str, Any]) -> tuple[Cluster, ClusterOptions]:
    """The cluster of a run, in its namespace, and the options it was launched with. Raises SpecError."""
    from launcher.kubernetes.backend import read_options

    options = read_options(plan)
    return read_access(access).open(options), options


def show_cluster(store: Store, plan: Plan, access: Mapping[str, Any]) -> None:
    """Print the table of a run as its cluster has it now; one line where the cluster can't be asked."""
    from rich.console import Console

    from atb.errors import AtbError
    from launcher.kubernetes.control.state import RunState
    from launcher.report.live_table import build_table, summary_line

    console = Console()
    try:
        cluster, options = open_run(plan, access)
        rows = RunState(cluster, store, plan, options).look()
    except AtbError as error:
        click.echo(f"as the store has it; the cluster could not be asked: {error}", err=True)
        return
    console.print(build_table(rows, width=console.width))
    click.echo(f"{plan.run}  {summary_line(rows)}")


def explain(store: Store, plan: Plan, planned: PlannedJob, access: Mapping[str, Any]) -> bool:
    """Print what is known about a job; False where its cluster can't be asked."""
    from atb.errors import AtbError
    from launcher.kubernetes.control.state import RunState
    from launcher.kubernetes.why import explain_job

    try:
        cluster, options = open_run(plan, access)
        sight = RunState(cluster, store, plan, options)
        sight.look()
    except AtbError as error:
        click.echo(f"as the store has it; the cluster could not be asked: {error}", err=True)
        return False
    for line in explain_job(cluster, store, sight, plan, planned):
        click.echo(line)
    return True


def print_logs(
    store: Store, plan: Plan, job: str | None, access: Mapping[str, Any], *, follow: bool, tail: int | None
) -> None:
    """Print the latest attempt's log of one job or of all, each line then with its job's name before it."""
    from launcher.plan.build import find_job

    jobs = [find_job(plan, job)] if job else plan.to_run
    cluster, _ = open_run(plan, access)
    threads = [
        threading.Thread(target=_print_log, args=(cluster, store, plan.run, planned, job is None, follow, tail))
        for planned in jobs
    ]
    if not follow:
        for thread in threads:
            thread.start()
            thread.join()
        return
    for thread in threads:
        thread.daemon = True
        thread.start()
    for thread in threads:
        thread.join()


def _print_log(
    cluster: Cluster, store: Store, run: str, planned: PlannedJob, named: bool, follow: bool, tail: int | None
) -> None:
    from atb.errors import AtbError
    from launcher.kubernetes.logs import find_pods, follow_log, read_log, stored_log
    from launcher.kubernetes.why import job_selector

    head = f"{planned.job}: " if named else ""
    try:
        pods = find_pods(cluster, job_selector(run, planned.job))
        if pods:
            read = (
                follow_log(cluster, pods[-1].name, tail=tail) if follow else read_log(cluster, pods[-1].name, tail=tail)
            )
            for line in read:
                click.echo(f"{head}{line}")
            return
        for line in stored_log(store, run, planned.job)[-(tail or 0) :]:
            click.echo(f"{head}{line}")
    except AtbError as error:
        click.echo(f"{head}no log: {error}", err=True)


def _not_here(run: str, cluster: Cluster) -> Exception:
    from atb.errors import SpecError

    return SpecError(f"run {run} is not in namespace {cluster.namespace} of {cluster.host}; name its --namespace")
