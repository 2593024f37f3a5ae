"""What ``atb-launch`` without a subcommand does: plan, run, collect; and the same for ``--resume``."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console

from atb.code import code_digest
from atb.contract import keys
from atb.contract.runs import new_run, validate_run
from atb.documents.manifest import Manifest
from atb.documents.plan import Plan
from atb.errors import AtbError, SpecError
from atb.redaction import looks_like_secret
from atb.registry.warm import pin_warm_start
from atb.storage import Store, open_store
from launcher.cli.flags import CLUSTER_FLAGS, read_access, read_cluster_options
from launcher.cli.stores import DEFAULT_STORE
from launcher.kubernetes.api.connect import open_cluster
from launcher.kubernetes.backend import KubernetesBackend
from launcher.kubernetes.control.diagnose import run_exit_code
from launcher.kubernetes.schedule import find_due, run_name
from launcher.plan.backend import Backend, Mode, choose_backend
from launcher.plan.build import (
    build_plan,
    commit_plan,
    find_plan,
    jobs_left,
    read_names,
    read_plan,
    read_settings,
    skip_unchanged,
)
from launcher.records.manifest import collect
from launcher.records.promotion import promote_run
from launcher.report.live_table import RunView
from launcher.report.page import write_report
from launcher.report.table import plan_lines, print_manifest
from launcher.worker.backend import LocalBackend

_SPEC_FLAGS = ("source", "market", "timeframe", "features", "days", "start", "end", "as_of", "seed")
_NOT_WITH_RESUME = ("symbols", "presets", "settings", *_SPEC_FLAGS, "run", "schedule", "force")
_MANY = 50
"""Trainings from which a terminal is asked first."""
ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


@dataclass(frozen=True)
class Ending:
    """What is done with a run that has come to its end."""

    promote: str = "manual"
    accept_first: bool = False
    output: str = "table"


def read_ending(options: Mapping[str, Any]) -> Ending:
    """From the flags of those names."""
    return Ending(options["promote"], options["accept_first"], options["output"])


def launch(options: Mapping[str, Any]) -> int:
    """Plan a run and do it; the exit code. Raises AtbError."""
    if options["symbols"] is None:
        raise SpecError("nothing to train: give --symbols BTCUSDT,ETHUSDT, or --resume RUN; see atb-launch --help")
    if options["schedule"]:
        options = {**options, **_due(options)}
    now = datetime.now(UTC)
    run = validate_run(options["run"]) if options["run"] else new_run(now)
    symbols, presets = (_read_names(options[name], f"--{name}") for name in ("symbols", "presets"))
    backend = open_backend(options, options["backend"])
    store = open_store(options["store_url"] or DEFAULT_STORE, options["endpoint_url"])
    plan = build_plan(
        run,
        symbols,
        presets,
        spec_options(options),
        backend=backend.name,
        now=now,
        launcher_options={**backend.options, "promote": options["promote"]},
        pin=lambda text, model_key: pin_warm_start(store, text, model_key),
    )
    begun = find_plan(store, run) if options["schedule"] else None
    if begun is not None:
        _tell(f"run {run} has begun already, going on with it")
        plan = begun
    elif not options["force"]:
        plan = skip_unchanged(plan, store, code_digest(), backend.image)
    to_run = len(plan.to_run)
    if options["dry_run"]:
        if isinstance(backend, KubernetesBackend) and options["output"] != "json":
            _say_objects(plan, store, backend, options["dry_run"])
        else:
            _say_dry_run(plan, to_run, options["output"])
        return 0
    doubts = _preflight(plan, store, backend) if to_run else False
    if (to_run >= _MANY or doubts) and not options["yes"] and sys.stdin.isatty():
        click.confirm(f"{to_run} trainings {backend.describe(to_run)}; go on?", abort=True, err=True)
    if begun is None:
        commit_plan(plan, store)
    return _do(plan, store, backend, "create", options)


def resume(options: Mapping[str, Any], given: Set[str]) -> int:
    """Do what an earlier run left undone; the exit code. Raises AtbError."""
    if extra := [name for name in _NOT_WITH_RESUME if name in given]:
        raise SpecError(f"--{extra[0].replace('_', '-')} does not go with --resume: the run's plan says it already")
    store = open_store(options["store_url"] or DEFAULT_STORE, options["endpoint_url"])
    plan = read_plan(store, options["resume"])
    if "promote" not in given:
        options = {**options, "promote": plan.options.get("promote", options["promote"])}
    asked = options["backend"] if "backend" in given else plan.backend
    backend = open_backend(options, asked, plan.options.get("cluster"))
    if options["dry_run"]:
        raise SpecError(f"--dry-run does not go with --resume; see: atb-launch status {plan.run}")
    _preflight(plan, store, backend)
    return _do(plan, store, backend, "resume", options)


def spec_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """What ``resolve_spec`` is given: the flags and ``--set`` together. Raises SpecError where they disagree."""
    found: dict[str, Any] = dict(read_settings(options["settings"]))
    for name in _SPEC_FLAGS:
        value = options[name]
        if value is None:
            continue
        if found.get(name, value) != value:
            raise SpecError(f"--{name.replace('_', '-')} {value} and --set {name}={found[name]} disagree; give one")
        found[name] = value
    for name, value in found.items():
        if looks_like_secret(name, str(value)):
            raise SpecError(f"the value of {name} looks like a secret, and the plan would keep it; leave it out")
    return found


def open_backend(options: Mapping[str, Any], asked: str, earlier: Mapping[str, Any] | None = None) -> Backend:
    """The backend, said in the first line; ``earlier`` are the cluster's options of the run that is resumed.

    Raises SpecError, Unavailable.
    """
    name, why = choose_backend(asked)
    _tell(f"backend {name}: {why}")
    if name == "kubernetes":
        if options["max_parallel"] is not None:
            raise SpecError("--max-parallel is for this machine: a cluster runs as many Jobs as have room")
        chosen = read_cluster_options(options, earlier)
        return KubernetesBackend(read_access(options).open(chosen), chosen)
    if options["no_wait"]:
        raise SpecError(
            "--no-wait is for the kubernetes backend: trainings on this machine live as long as the launcher"
        )
    if extra := [name for name in CLUSTER_FLAGS if options[name] not in (None, ())]:
        raise SpecError(f"--{extra[0].replace('_', '-')} is for the kubernetes backend; add --backend kubernetes")
    if options["dry_run"] == "server":
        raise SpecError("--dry-run=server asks an API server; on this machine write --dry-run")
    return LocalBackend(options["max_parallel"])


def _preflight(plan: Plan, store: Store, backend: Backend) -> bool:
    """Say what can be known before anything is created; whether there are doubts to ask about. Raises SpecError."""
    if not isinstance(backend, KubernetesBackend):
        return False
    from launcher.kubernetes.preflight.checks import validate_preflight

    found = backend.check(plan, store)
    width = max(len(check.name) for check in found)
    for check in found:
        mark = {"ok": "ok  ", "note": "note", "warning": "WARN", "error": "FAIL"}[check.level]
        _tell(f"{mark}  {check.name:<{width}}  {check.text}")
    validate_preflight(found)
    return any(check.level == "warning" for check in found)


def _do(plan: Plan, store: Store, backend: Backend, mode: Mode, options: Mapping[str, Any]) -> int:
    wait = not options["no_wait"]
    return follow(plan, store, backend, mode, read_ending(options), wait=wait)


def follow(plan: Plan, store: Store, backend: Backend, mode: Mode, ending: Ending, *, wait: bool = True) -> int:
    """Have the backend do a plan, collect what it came to, and give the exit code. Raises AtbError."""
    planned = len(plan.to_run)
    to_run = len(jobs_left(plan, store)) if mode == "resume" else planned
    counts = {"done already": planned - to_run, "skipped as unchanged": len(plan.jobs) - planned}
    work = f"{to_run} to train {backend.describe(to_run)}" if to_run else "nothing to train"
    _tell("; ".join([f"run {plan.run}: {work}", *(f"{count} {what}" for what, count in counts.items() if count)]))
    stopped: int | None = None
    away = isinstance(backend, KubernetesBackend)
    attach = _with_store(["attach", plan.run], store)
    try:
        with RunView(f"run {plan.run}", Console(stderr=True)) as view:
            stopped = backend.run(plan, store, view.show, mode=mode, wait=wait)
    except AtbError as error:
        finish(plan, store, ending)
        again = attach if away else resume_command(plan.run, store)
        raise type(error)(f"{error}; go on with: {again}") from None
    if away and (stopped is not None or not wait):
        _tell(f"the Jobs go on without this launcher; follow them with: {attach}")
        return 0 if stopped is None else 128 + abs(stopped)
    manifest = finish(plan, store, ending)
    if stopped is not None:
        _tell(f"stopped; go on with: {resume_command(plan.run, store)}")
        return 128 + abs(stopped)
    if manifest.complete:
        return 0
    _tell(f"not every model is there; try those again with: {resume_command(plan.run, store)}")
    return run_exit_code([job.category for job in manifest.jobs if job.state not in ("done", "skipped")])


def finish(plan: Plan, store: Store, ending: Ending) -> Manifest:
    """Collect the run, promote what may be, write its page and print what it came to."""
    manifest = collect(store, plan)
    if ending.promote == "auto":
        for promotion in promote_run(store, plan.run, accept_first=ending.accept_first):
            _tell(f"{promotion.job}: {promotion.decided}: {promotion.reason}")
    page = write_report(store, manifest)
    if ending.output == "json":
        click.echo(manifest.to_bytes(), nl=False)
    else:
        print_manifest(Console(), manifest, store.url)
        click.echo(f"report    {store.url}/{page}")
        click.echo(f"manifest  {store.url}/{keys.manifest(plan.run)}")
    return manifest


def resume_command(run: str, store: Store) -> str:
    """What to type to go on with a run."""
    return _with_store(["--resume", run], store)


def _with_store(arguments: list[str], store: Store) -> str:
    words = ["atb-launch", *arguments]
    if store.url != os.environ.get("ATB_STORE", DEFAULT_STORE):
        words += ["--store", store.url]
    if store.endpoint_url and store.endpoint_url not in map(os.environ.get, ENDPOINT_VARIABLES):
        words += ["--endpoint-url", store.endpoint_url]
    return shlex.join(words)


def _due(options: Mapping[str, Any]) -> dict[str, Any]:
    """The run and the cut of a schedule's Pod, however late or often it starts."""
    if extra := [name for name in ("run", "as_of", "end") if options[name] is not None]:
        raise SpecError(f"--{extra[0].replace('_', '-')} does not go with --schedule: the schedule's time decides it")
    cluster = open_cluster()
    try:
        due = find_due(cluster, os.environ)
    finally:
        cluster.close()
    _tell(f"schedule {options['schedule']}: due at {due.at:%Y-%m-%d %H:%M:%S} UTC, by {due.source}")
    return {"run": run_name(options["schedule"], due.at), "as_of": due.at.isoformat()}


def _say_objects(plan: Plan, store: Store, backend: KubernetesBackend, how: str) -> None:
    """The exact objects as YAML, or with ``server`` as the API server would store them."""
    from launcher.kubernetes.objects.render import render_yaml

    objects = backend.dry_run(plan, store) if how == "server" else backend.render(plan, store)
    for body in objects:
        click.echo(render_yaml([body]), nl=False)


def _say_dry_run(plan: Plan, to_run: int, output: str) -> None:
    if output == "json":
        click.echo(plan.to_bytes(), nl=False)
        return
    for line in plan_lines(plan):
        click.echo(line)
    click.echo(f"would train {to_run}, would skip {len(plan.jobs) - to_run}; nothing was started")


def _read_names(text: str, what: str) -> tuple[str, ...]:
    names, twice = read_names(text, what)
    if twice:
        more = f" and {len(twice) - 3} more" if len(twice) > 3 else ""
        _tell(f"{what}: named more than once, used once: {', '.join(twice[:3])}{more}")
    return names


def _tell(line: str) -> None:
    click.echo(line, err=True)
