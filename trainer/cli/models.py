"""``atb models``: which models serve, how good they are, and which serves next."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from atb.options.completion import complete_symbols
from atb.options.flags import ConfiguredGroup, add_options, with_output
from atb.options.read import read_options
from atb.options.say import say, say_json
from atb.options.stores import complete_commands, with_store
from atb.options.table import find_rows
from trainer.cli.tables import champion_row, print_comparison, print_table

if TYPE_CHECKING:
    from atb.documents.champion import Champion
    from atb.documents.record import RecordEntry
    from atb.documents.result import Result
    from atb.errors import Unreadable
    from atb.registry.champions import ModelKey
    from atb.storage import Store


Words = dict[str, Any]
"""The options given of a model key."""


def with_key(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that tell a symbol's models apart; the command gets those given as ``words``."""

    @add_options("ModelChoice")
    @functools.wraps(command)
    def wrapped(**options: Any) -> Any:
        from atb.contract.options import ModelChoice

        chosen = read_options(ModelChoice, {row.name: options.pop(row.name) for row in find_rows(["ModelChoice"])})
        return command(words=chosen.model_dump(exclude_none=True), **options)

    return wrapped


@click.group(cls=ConfiguredGroup)
def models() -> None:
    """Champions: list, compare, promote and export models.

    A MODEL is a symbol, which stands for its champion, or RUN/JOB, like 20260131-0600/BTCUSDT-fast.
    """


@models.command("list")
@click.argument("symbol", required=False, shell_complete=complete_symbols)
@with_output("the pointers, as one array")
@with_store
def list_(store: Store, symbol: str | None, output: str) -> None:
    """List the champions, their skill over persistence beside the best baseline's."""
    from atb.registry.champions import ModelKey, scan_champions
    from atb.registry.record import scan_records

    champions, problems = scan_champions(store, symbol)
    name_problems(problems)
    lives = scan_records(store, map(ModelKey.of, champions))
    records = {live.champion.entry: live.record for live in lives if live.champion is not None}
    if output == "json":
        found = [
            {**each.model_dump(mode="json"), "record": _record_fields(records.get(each.entry))} for each in champions
        ]
        say_json(found)
        return
    if not champions:
        if problems:
            return
        say(no_champions(store))
        return
    head = (
        "symbol", "timeframe", "preset", "target", "skill", "best baseline", "live skill", "live in band",
        "live rows", "days",
        "bars up to", "run", "promoted", "by",
    )  # fmt: skip
    print_table(head, [champion_row(each, records.get(each.entry)) for each in champions])


@models.command()
@click.argument("model", shell_complete=complete_symbols)
@with_key
@with_output("the card's text beside the result, or the champion's pointer and live record")
@with_store
def show(store: Store, model: str, words: Words, output: str) -> None:
    """Print a MODEL's card."""
    from atb.contract.bundle import CARD
    from atb.registry.pull import bundle_file, read_file
    from atb.schema import printable

    named = _result_or_champion(store, model, words)
    run, files = named.run, named.files
    live = _read_live(store, named)
    card = read_file(store, bundle_file(files, CARD, run)).decode() + "".join(_live_lines(named, live))
    if output == "json":
        say_json({"card": card, **named.model_dump(mode="json"), "record": _record_fields(live)})
        return
    card = "\n".join(printable(line, len(line) + 1) for line in card.split("\n"))
    if not sys.stdout.isatty():
        click.echo(card, nl=False)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(card))


@models.command()
@click.argument("one")
@click.argument("other")
@with_key
@with_output("rows, metrics and trading of both")
@with_store
def compare(store: Store, one: str, other: str, words: Words, output: str) -> None:
    """Score two MODELs on the same rows: test rows of the later one on which neither was trained."""
    from trainer.pipeline.champion import compare_models
    from trainer.pipeline.loaded_model import open_result

    first, second = (result_of(store, name, words) for name in (one, other))
    later = max(first, second, key=lambda result: result.spec.as_of)
    found = compare_models(store, later, open_result(store, first), open_result(store, second))
    if output == "json":
        named = {"candidate": f"{first.run}/{first.job}", "champion": f"{second.run}/{second.job}"}
        say_json({"models": named, **found.model_dump(mode="json")})
        return
    say(f"{found.rows:,} rows of {later.spec.symbol} up to {later.spec.as_of:%Y-%m-%d %H:%M} UTC")
    print_comparison(found, f"{first.run}/{first.job}", f"{second.run}/{second.job}")


@models.command()
@click.argument("symbol", shell_complete=complete_symbols)
@with_key
@click.option("--last", type=click.IntRange(1), default=20, show_default=True, help="How many decisions.")
@with_output("the entries, as one array")
@with_store
def history(store: Store, symbol: str, words: Words, last: int, output: str) -> None:
    """Show who decided what, when and why, and the outcome."""
    from atb.registry.champions import read_history
    from atb.registry.gate import failures

    problems: list[Unreadable] = []
    model_key = find_key(store, symbol, words, declined=True)
    decisions = read_history(store, model_key, last=last, problems=problems)
    name_problems(problems)
    if output == "json":
        entries = [{**each.entry.model_dump(mode="json"), "effect": each.effect} for each in decisions]
        say_json(entries)
        return
    rows = [
        (
            f"{each.entry.time:%Y-%m-%d %H:%M:%S}",
            each.entry.action,
            each.entry.run,
            each.effect,
            each.entry.by,
            each.entry.why or failures(each.entry.gate),
        )
        for each in decisions
    ]
    print_table(("time, UTC", "what", "run", "effect", "by", "why"), rows)


@models.command()
@click.argument("symbol", shell_complete=complete_symbols)
@click.argument("folder", type=click.Path(path_type=Path))
@with_key
@with_output("the model, the folder and its files")
@with_store
def pull(store: Store, symbol: str, folder: Path, words: Words, output: str) -> None:
    """Fetch the champion's files to FOLDER, each verified by its hash."""
    from atb.registry import pull as pulling
    from atb.registry.champions import require_champion

    champion = require_champion(store, find_key(store, symbol, words))
    paths = pulling.pull(store, champion, folder)
    model = f"{champion.run}/{champion.job}"
    if output == "json":
        say_json({"model": model, "folder": str(folder), "files": list(map(str, paths))})
    else:
        say(f"{len(paths)} files of {model}, every hash as in its result, are in {folder}")


def no_champions(store: Store) -> str:
    """What to say of a store without champions."""
    return complete_commands(f"no champions in {store.url} yet; make one with: atb models promote RUN SYMBOL", store)


def name_problems(problems: Sequence[Unreadable]) -> None:
    """One line each: what else is listed is right without them."""
    for problem in problems:
        say(f"unreadable: {problem}", err=True)


def find_key(store: Store, symbol: str, words: Words, *, declined: bool = False) -> ModelKey:
    """The one model key that these words fit. Raises SpecError."""
    from atb.registry.champions import find_model_key

    return find_model_key(store, symbol, **words, declined=declined)


def _record_fields(record: RecordEntry | None) -> dict[str, Any] | None:
    if record is None:
        return None
    return {**record.model_dump(mode="json", exclude={"window"}), "skill": record.skill}


def _read_live(store: Store, named: Result | Champion) -> RecordEntry | None:
    """The live record of a champion; where it can't be read, one line says so, and the card is shown without."""
    from atb.documents.champion import Champion
    from atb.errors import Unreadable
    from atb.registry.record import read_record

    try:
        return read_record(store, named) if isinstance(named, Champion) else None
    except Unreadable as problem:
        name_problems([problem])
        return None


def _live_lines(named: Result | Champion, record: RecordEntry | None) -> Iterator[str]:
    """What the card can't know: how a champion has done since its cut."""
    from atb.documents.champion import Champion
    from atb.registry.betting import BEHIND_BOUND, e_value

    if record is None or not isinstance(named, Champion):
        return
    yield "\n## Live record\n\n"
    yield (
        f"Skill {record.skill:+.4f} on {record.total_rows:,} rows that closed after its cut, {record.days} days up to "
        f"{record.until:%Y-%m-%d %H:%M} UTC; {named.metrics.get('skill', 0.0):+.4f} was measured before its promotion. "
        f"Evidence that it is behind its bar: {e_value(record.log_behind):,.3g}; a demotion begins at "
        f"{BEHIND_BOUND:,.0f}.\n"
    )
    promised = {band.level: band.coverage for band in named.bands}
    for band in record.bands:
        measured = f"; {promised[band.level]:.1%} on the test rows" if band.level in promised else ""
        yield f"\n- {band.level:g} band: {band.coverage:.1%} of {band.rows:,} closes lay within{measured}"
    for name, index in sorted(record.drift.items(), key=lambda each: -each[1])[:5]:
        yield f"\n- `{name}`: population stability index {index:.2f}"
    yield "\n" if record.drift or record.bands else ""


def result_of(store: Store, model: str, words: Words) -> Result:
    """The result of a MODEL. Raises SpecError, StoreError."""
    from atb.registry.promote import read_result

    named = _result_or_champion(store, model, words)
    return read_result(store, named.run, named.job)


def _result_or_champion(store: Store, model: str, words: Words) -> Result | Champion:
    """RUN/JOB, or a symbol, which may have a slash in it too."""
    from atb.errors import SpecError, Unreadable
    from atb.registry.champions import require_champion
    from atb.registry.promote import read_result

    run, slash, job = model.partition("/")
    if slash and job:
        try:
            return read_result(store, run, job)
        except Unreadable:
            raise
        except SpecError:
            pass
    try:
        return require_champion(store, find_key(store, model, words))
    except SpecError as error:
        if slash:
            raise SpecError(f"{model} is neither a committed RUN/JOB nor a champion in {store.url}") from None
        raise error
