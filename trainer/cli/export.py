"""``atb models export``: a model as another program's files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from atb.options.say import say
from atb.options.stores import with_store
from trainer.cli.models import Words, result_of, with_key

if TYPE_CHECKING:
    from atb.storage import Store

_FORMATS = ("triton", "mlflow", "freqtrade")
_NEXT = {
    "triton": "serve it with: tritonserver --model-repository {parent}",
    "mlflow": "serve it with: mlflow models serve --model-uri {folder} --env-manager local",
    "freqtrade": "try it with: freqtrade backtesting --strategy-path {folder} --strategy {strategy}",
}


@click.command("export")
@click.argument("model")
@click.argument("folder", type=click.Path(path_type=Path), default=Path("."))
@click.option("--as", "kind", type=click.Choice(_FORMATS), required=True, help="The program to export for.")
@with_key
@with_store
def export(store: Store, model: str, folder: Path, kind: str, words: Words) -> None:
    """Export a MODEL for another program, to a folder of its own in FOLDER.

    triton: a folder of a model repository. mlflow: a model directory. freqtrade: a strategy. What the model forecasts
    from is in about.json beside it. Several models can be exported to one FOLDER.
    """
    from trainer.serve.exports import export_model, read_model

    found = read_model(store, result_of(store, model, words))
    target = export_model(found, kind, folder)
    say(f"{found.result.run}/{found.result.job} is in {target}")
    strategy = next((path.stem for path in target.glob("*.py")), "")
    say(_NEXT[kind].format(folder=target, parent=target.parent, strategy=strategy))
