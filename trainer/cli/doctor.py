"""``atb doctor``: the image's smoke test and the first line of support."""

from __future__ import annotations

import click

from atb.options.flags import Configured, add_options, with_output
from atb.options.say import say, say_json


@click.command(cls=Configured)
@click.option("--gpus", type=click.IntRange(0, 64), default=0, show_default=True, help="How many GPUs must be found.")
@click.option("--accelerator", type=click.Choice(["auto", "gpu"]), default="auto", help="gpu: the same as --gpus 1.")
@click.option("--train/--no-train", default=True, help="Train and export one small model.")
@add_options("store", "endpoint-url", defaults={"store": "no store is tried"})
@with_output("the findings, as one array")
def doctor(gpus: int, accelerator: str, store: str | None, endpoint_url: str | None, train: bool, output: str) -> None:
    """Report what this machine can do: versions, device, a small training, store, clock.

    Exits 0 when all is well, 21 when a GPU was asked for and is absent, 75 when the store does not answer,
    else with the code a job would end with here.
    """
    import os

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["OMP_NUM_THREADS"] = "1"  # as in any training; with it, scikit-learn counts no cores
    from atb.errors import AtbError
    from atb.storage import open_store
    from trainer.doctor import examine, train_sample

    opened = open_store(store, endpoint_url) if store else None
    first: AtbError | None = None
    found: list[dict[str, str]] = []
    for finding in examine(max(gpus, int(accelerator == "gpu")), opened, train_sample if train else None):
        mark = "FAULT" if finding.error else "note" if finding.note else "ok"
        found.append({"mark": mark, "name": finding.name, "text": str(finding.error or finding.text)})
        if output != "json":
            say(f"{mark:<6}{finding.name:<10}{finding.error or finding.text}")
        first = first or finding.error
    if output == "json":
        say_json(found)
    if first is not None:
        raise first
