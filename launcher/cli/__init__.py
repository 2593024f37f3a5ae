"""``atb-launch``: one command for many trainings. Importing it loads no TensorFlow, pandas or NumPy."""

from __future__ import annotations

import click

import trainer
from trainer.contract.exits import run_and_exit


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(trainer.__version__, prog_name="atb-launch")
def atb_launch() -> None:
    """Train one model for each symbol, on Kubernetes or on this machine."""


def main() -> None:
    """The console script."""
    run_and_exit(lambda: atb_launch(prog_name="atb-launch"))
