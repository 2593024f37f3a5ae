"""``atb-launch plan``: what a launch would do, and what it would cost."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from atb.options.flags import Configured, add_options
from atb.options.say import say

if TYPE_CHECKING:
    from atb.documents.plan import Plan
    from atb.storage import Store
    from launcher.plan.cost import Pace

_EXAMPLES = """
atb-launch plan --symbols @symbols.txt --preset fast --workers 4 --image NAME --cost --price 2.50
"""


@click.command("plan", cls=Configured, examples=_EXAMPLES)
@add_options("launch", "run", "store", "endpoint-url", "Spec", "TrainingOptions", "cluster")
@click.option("--cost", is_flag=True, help="Print seconds, GPU-hours and the price instead of the jobs.")
@click.option("--price", metavar="AMOUNT", type=click.FloatRange(0, min_open=True), help="The price of a GPU-hour.")
@click.pass_context
def plan_command(context: click.Context, /, cost: bool, price: float | None, **_: Any) -> None:
    """Show what a launch with these options would do. Nothing is started or written."""
    from atb.errors import SpecError
    from launcher.cli.options import read_choices
    from launcher.cli.planning import plan_launch, say_dry_run
    from launcher.plan.backends import shape_of
    from launcher.plan.cost import estimate_cost, estimate_lines

    if price is not None and not cost:
        raise SpecError("--price is for --cost")
    choices = read_choices(context)
    if choices.launch.dry_run is None:
        dry = choices.launch.model_copy(update={"dry_run": "client"})
        choices = replace(choices, launch=dry, setup=replace(choices.setup, launch=dry))
    if choices.launch.resume:
        raise SpecError("--resume can't be used with the command plan: a run that has started has a plan")
    planned = plan_launch(choices)
    if not cost:
        say_dry_run(planned, choices.launch)
        return
    shape = shape_of(planned.plan)
    for line in estimate_lines(estimate_cost(planned.plan, shape, read_paces(planned.store, planned.plan)), price):
        say(line)


def read_paces(store: Store, plan: Plan) -> dict[str, Pace]:
    """The pace of each preset in the latest runs of the same backend on as many GPUs. Raises StoreError."""
    from atb.errors import SpecError
    from launcher.plan.backends import shape_of
    from launcher.plan.cost import MOST_RUNS, measured_paces
    from launcher.records.listing import latest_runs
    from launcher.records.manifest import build_manifest
    from launcher.records.run_record import RunRecord

    gpus, found = shape_of(plan).gpus, []
    for run in latest_runs(store, MOST_RUNS):
        try:
            record = RunRecord.load(store, run)
            if record.plan.backend == plan.backend and shape_of(record.plan).gpus == gpus:
                found.append((record.plan, build_manifest(record)))
        except SpecError:
            continue  # a single training has no plan, and an unreadable run is nothing to count on
    return measured_paces(plan, found)
