"""``atb models export``: a model as another program's files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from atb.options.completion import complete_symbols
from atb.options.flags import Configured, with_output
from atb.options.say import say, say_json
from atb.options.stores import with_store
from trainer.cli.models import Words, result_of, with_key

if TYPE_CHECKING:
    from atb.storage import Store

_FORMATS = ("triton", "mlflow", "freqtrade")
_NEXT = {
    "triton": "tritonserver --model-repository {parent}",
    "mlflow": "mlflow models serve --model-uri {folder} --env-manager local",
    "freqtrade": "freqtrade backtesting --strategy-path {folder} --strategy {strategy}",
}
_USE = {"triton": "serve", "mlflow": "serve", "freqtrade": "try"}


@click.command("export", cls=Configured)
@click.argument("model", shell_complete=complete_symbols)
@click.argument("folder", type=click.Path(path_type=Path), default=Path("."))
@click.option("--as", "kind", type=click.Choice(_FORMATS), required=True, help="The program to export for.")
@with_key
@with_output("the model, its folder and the command that uses it")
@with_store
def export(store: Store, model: str, folder: Path, kind: str, words: Words, output: str) -> None:
    """Export a MODEL for another program, to a folder of its own in FOLDER.

    triton: a folder of a model repository. mlflow: a model directory. freqtrade: a strategy. What the model forecasts
    from is in about.json beside it. Several models can be exported to one FOLDER.
    """
    from trainer.serve.exports import export_model, read_model

    found = read_model(store, result_of(store, model, words))
    target = export_model(found, kind, folder)
    strategy = next((path.stem for path in target.glob("*.py")), "")
    named, then = f"{found.result.run}/{found.result.job}", _NEXT[kind]
    command = then.format(folder=target, parent=target.parent, strategy=strategy)
    if output == "json":
        say_json({"model": named, "folder": str(target), "next": command})
        return
    say(f"{named} is in {target}")
    say(f"{_USE[kind]} it with: {command}")
