"""``atb-launch worker``: what the Pods of a packed run do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from atb.options.stores import with_store

if TYPE_CHECKING:
    from atb.storage import Store


@click.command()
@click.argument("run")
@click.option("--slots", type=click.IntRange(1), help="Trainings at a time.  [default: one per core, 4 per GPU]")
@click.option(
    "--accelerator",
    type=click.Choice(["auto", "gpu", "cpu"]),
    default="auto",
    show_default=True,
    help="gpu: end with exit 21 if there is none.",
)
@click.option(
    "--index",
    type=click.IntRange(0),
    default=0,
    envvar="JOB_COMPLETION_INDEX",
    show_envvar=True,
    help="This worker's number; each starts at its own place in the plan.",
)
@click.option(
    "--workers", type=click.IntRange(1), default=1, show_default=True, help="How many workers start together."
)
@click.option("--since", type=float, default=0.0, help="Retry what failed before this time, in seconds since 1970.")
@click.option("--deadline", type=click.IntRange(1), help="Seconds that one training may take.")
@with_store
def worker(
    store: Store,
    run: str,
    slots: int | None,
    accelerator: str,
    index: int,
    workers: int,
    since: float,
    deadline: int | None,
) -> None:
    """Run jobs of a RUN here until none is left, alongside the run's other workers.

    The log has one JSON event a line; those of a training name its symbol and preset.
    """
    import sys
    import tempfile
    from pathlib import Path

    from atb.errors import NoAccelerator
    from launcher.plan.build import read_plan
    from launcher.worker.backend import find_slots
    from launcher.worker.forkserver_client import SERVER
    from launcher.worker.log_relay import LogRelay
    from launcher.worker.run import run_worker
    from launcher.worker.worker import Settings

    plan = read_plan(store, run)
    arguments = ("--log-format", "json", "--accelerator", accelerator)
    settings = Settings(lingers=False, arguments=arguments, deadline=deadline, place=(index, workers))
    share = find_slots(len(plan.to_run), slots)
    with tempfile.TemporaryDirectory(prefix=f"atb-{run}-") as folder:
        relay = LogRelay(Path(folder), plan, sys.stdout)
        relay.say(f"worker {index + 1} of {workers}: {share.words}")
        try:
            ended = run_worker(plan, plan.to_run, store, SERVER, share, settings, relay.show, since=since, logs=folder)
        finally:
            relay.drain()
    if ended.stopped is not None:
        relay.say("stopped; other workers take over, or resume with: atb-launch --resume " + run)
        sys.exit(128 + abs(ended.stopped))
    if ended.unfit:
        raise NoAccelerator(ended.unfit)
    relay.say("no job is left to take")
