"""``atb``: the trainer's commands. Modules here import nothing heavy until a command runs."""

from __future__ import annotations

# ruff: noqa: E402
from atb.first_process import end_on_sigterm

end_on_sigterm()

import click

import atb as package
from atb.contract.exits import run_and_exit
from atb.options.flags import ROOT, ConfiguredGroup
from trainer.cli.compare import compare
from trainer.cli.config import config
from trainer.cli.data import data
from trainer.cli.doctor import doctor
from trainer.cli.export import export
from trainer.cli.models import models
from trainer.cli.predict import predict
from trainer.cli.promotion import evidence, promote, rollback
from trainer.cli.train import train


@click.group(cls=ConfiguredGroup, context_settings=ROOT)
@click.version_option(package.__version__, prog_name="atb")
def atb() -> None:
    """Train one price model for a crypto symbol, and look at bars and models."""


atb.add_command(compare)
atb.add_command(config)
atb.add_command(data)
atb.add_command(doctor)
atb.add_command(models)
atb.add_command(predict)
atb.add_command(train)

for command in (export, promote, rollback, evidence):
    models.add_command(command)


def main() -> None:
    """The console script."""
    run_and_exit(lambda: atb(prog_name="atb"))


if __name__ == "__main__":
    main()
