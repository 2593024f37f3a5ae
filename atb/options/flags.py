"""Click's flags and commands, made from the table of options: grouped help, environment variables, atb.toml."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import click

from atb.contract.exits import one_line
from atb.errors import AtbError
from atb.options.completion import complete_presets, complete_runs, complete_symbols
from atb.options.project import Project, load_project
from atb.options.table import Row, find_rows
from atb.redaction import redact

_Command = TypeVar("_Command", bound=Callable[..., Any])

WIDE: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
ROOT: dict[str, Any] = {**WIDE, "auto_envvar_prefix": "ATB"}
"""The settings of a command's outermost group: an option of its own has the variable ATB_COMMAND_OPTION."""
OUTPUTS = ("table", "json")
_PROJECT = "atb.options.project"
COMPLETE = "atb.options.stores"
"""Where a context keeps what completes the commands that an error suggests."""


_COMPLETES = {"symbols": complete_symbols, "preset": complete_presets, "resume": complete_runs, "run": complete_runs}
"""What a shell completes after an option."""


class TableOption(click.Option):
    """A flag made from a row of the table."""

    def __init__(self, row: Row, default: str | None = None) -> None:
        settings: dict[str, Any] = {"metavar": row.metavar or None, "default": None}
        if row.kind == "choice" and row.model == "Spec":  # the spec itself says what it doesn't know, in one line
            settings |= {"metavar": f"[{'|'.join(row.choices)}]"}
        elif row.kind == "choice":
            settings |= {"type": click.Choice(row.choices)}
        elif row.kind == "optional":
            settings |= {"type": click.Choice(row.choices), "is_flag": False, "flag_value": row.choices[0]}
        elif row.kind == "switch" and not any("/" in flag for flag in row.flags):
            settings |= {"is_flag": True, "flag_value": True, "type": bool}
        elif row.kind == "many":
            settings |= {"multiple": True}
        if complete := _COMPLETES.get(row.name):
            settings["shell_complete"] = complete
        shown = row.default if default is None else default
        words = row.help + (f"  [default: {shown}]" if shown else "")
        super().__init__([*row.flags, row.name], help=words, envvar=row.variable, allow_from_autoenv=False, **settings)
        self.row = row
        self.heading = row.heading


def add_options(*wanted: str, defaults: Mapping[str, str] | None = None) -> Callable[[_Command], _Command]:
    """Add the flags of the rows wanted, as ``find_rows`` names them. ``defaults`` replace what help says about one."""

    def decorate(command: _Command) -> _Command:
        for row in reversed(find_rows(wanted)):
            if row.flags:
                command = _attach(command, TableOption(row, (defaults or {}).get(row.name)))
        return command

    return decorate


def with_output(words: str) -> Callable[[_Command], _Command]:
    """Add ``--output table|json``; ``words`` say what the JSON is."""
    help = f"How to print it. json: {words}."
    return click.option("--output", type=click.Choice(OUTPUTS), default=OUTPUTS[0], show_default=True, help=help)


def _attach(command: _Command, option: click.Option) -> _Command:
    if isinstance(command, click.Command):
        command.params.insert(0, option)
    else:
        known: list[click.Parameter] = command.__dict__.setdefault("__click_params__", [])
        known.append(option)
    return command


class Configured(click.Command):
    """A command whose flags may also stand in the environment and in atb.toml, with grouped help and examples."""

    def __init__(self, *arguments: Any, examples: str = "", **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.examples = examples
        if any(isinstance(parameter, click.Option) for parameter in self.params):
            row = find_rows(["profile"])[0]
            profile = TableOption(row)
            profile.is_eager, profile.expose_value, profile.callback = True, False, _read_project
            self.params.append(profile)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        names = [name for parameter in self.params for name in (*parameter.opts, *parameter.secondary_opts)]
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            near = difflib.get_close_matches(error.option_name, names, n=1)
            raise click.NoSuchOption(error.option_name, possibilities=near, ctx=ctx) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):  # the usage line names the arguments
                groups.setdefault(getattr(parameter, "heading", "Options"), []).append(record)
        for heading in sorted(groups, key=lambda name: name == "Options"):
            with formatter.section(heading):
                formatter.write_dl(groups[heading])
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples.strip().splitlines():
                    formatter.write(f"{'':{formatter.current_indent}}{line.strip()}\n")
        if any(isinstance(parameter, TableOption) for parameter in self.params):
            formatter.write_paragraph()
            formatter.write_text("Each option can also be set by a variable ATB_… or in atb.toml: see atb config.")


class ConfiguredGroup(Configured, click.Group):
    """A group of such commands."""

    command_class = Configured

    def make_context(self, *arguments: Any, **settings: Any) -> click.Context:
        with _in_plain_text():
            return super().make_context(*arguments, **settings)

    def invoke(self, ctx: click.Context) -> Any:
        with _in_plain_text():
            try:
                return super().invoke(ctx)
            except AtbError as error:
                if (complete := ctx.meta.get(COMPLETE)) is not None:
                    error.args = (complete(str(error)),)
                raise


@contextlib.contextmanager
def _in_plain_text() -> Iterator[None]:
    """Click's messages repeat what was typed; no control character and no password of it reaches the terminal."""
    try:
        yield
    except click.ClickException as error:
        error.message = redact("\n".join(map(one_line, error.message.split("\n"))))  # type: ignore[misc]
        raise


ConfiguredGroup.group_class = ConfiguredGroup


def project_of(context: click.Context) -> Project:
    """The project file that holds for a command."""
    found = context.meta.get(_PROJECT)
    return found if isinstance(found, Project) else load_project(None)


def _read_project(context: click.Context, parameter: click.Parameter, profile: str | None) -> None:
    """Give click the file's values, which it takes where neither a flag nor a variable says otherwise."""
    before = context.meta.get(_PROJECT)
    project = before if before is not None and profile is None else load_project(profile)
    context.meta[_PROJECT] = project
    section = context.command_path.split(" ", 1)[-1].replace(" ", ".") if context.parent else ""
    context.default_map = {
        name: value
        for each in context.command.params
        if (name := each.name) is not None and (value := _value_in(project, each, section)) is not None
    }


def _value_in(project: Project, parameter: click.Parameter, section: str) -> Any:
    if isinstance(parameter, TableOption):
        native = parameter.row.model == "ClusterOptions"  # whose values may be tables: the backend reads them itself
        return None if native else project.get(parameter.row.section, parameter.row.name)
    return project.get(section, parameter.name or "")
