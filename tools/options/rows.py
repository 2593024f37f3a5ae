"""One row for each option: the fields of the models, and what a single command has of its own."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from atb.contract.options import ExecutionOptions, GateOptions, ModelChoice, SharedOptions, TrainingOptions
from atb.contract.spec import Spec
from atb.options.flags import TableOption
from atb.options.table import CLUSTER, LAUNCH, MODEL, SHARED, TRAIN, Kind, Row
from atb.schema import Option
from launcher.kubernetes.options import AccessOptions, ClusterOptions
from launcher.plan.options import LaunchOptions

MODELS: tuple[tuple[str, type[BaseModel]], ...] = (
    (LAUNCH, LaunchOptions),
    (LAUNCH, GateOptions),
    (TRAIN, Spec),
    (TRAIN, TrainingOptions),
    (TRAIN, ExecutionOptions),
    (CLUSTER, AccessOptions),
    (CLUSTER, ClusterOptions),
    (MODEL, ModelChoice),
    (SHARED, SharedOptions),
)
_DEFAULT = re.compile(r" +\[default: (.*)\]$")
_FLAGS = {("train", "preset"): ("--preset", "--presets")}
"""Spellings beside the field's name."""


def model_rows() -> list[Row]:
    """The rows of all models, in their order; a field that a model inherits is the other one's."""
    rows: list[Row] = []
    listed = {model for _, model in MODELS}
    for section, model in MODELS:
        bases = listed & set(model.__mro__[1:])
        for name, info in model.model_fields.items():
            option = next((each for each in info.metadata if isinstance(each, Option)), None)
            inherited = any(name in base.model_fields for base in bases)
            if option is not None and not inherited:
                rows.append(_row(section, model, name, info, option))
    return rows


def _row(section: str, model: type[BaseModel], name: str, info: FieldInfo, option: Option) -> Row:
    kind, choices, shape = _shape(info.annotation)
    if kind == "choice" and option.metavar:
        kind = "text"  # one of several names, or more than one
    if kind == "choice" and option.flag:
        kind = "optional"
    words = info.description or ""
    stated = _DEFAULT.search(words)
    variable = f"ATB_{f'{section.upper()}_' if section in (CLUSTER, MODEL) else ''}{name.upper()}"
    return Row(
        section=section,
        name=name,
        flags=_flags(section, name, option, kind),
        kind=kind,
        type=shape,
        heading=option.heading,
        metavar=option.metavar,
        help=_DEFAULT.sub("", words),
        default=stated[1] if stated else _default(info),
        variable=variable,
        choices=choices,
        model=model.__name__,
    )


def _flags(section: str, name: str, option: Option, kind: Kind) -> tuple[str, ...]:
    if option.flag is None:
        return ()
    word = name.replace("_", "-")
    if option.flag:
        return (option.flag,)
    return (f"--{word}/--no-{word}",) if kind == "switch" else _FLAGS.get((section, name), (f"--{word}",))


def _shape(annotation: Any) -> tuple[Kind, tuple[str, ...], str]:
    """How a type is given: the kind of flag, its choices, and what a file may have there."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _shape(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return _shape(next(each for each in get_args(annotation) if each is not type(None)))
    if origin is Literal:
        return "choice", tuple(str(each) for each in get_args(annotation)), "text"
    if origin is tuple:
        return "many", (), "list"
    if origin is dict:
        return "many", (), "table"
    shapes = {bool: "bool", int: "int", float: "number", str: "text", datetime: "text"}
    return ("switch" if annotation is bool else "text"), (), shapes[annotation]


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "the preset's" if info.annotation is not str else ""
    value = info.default
    if value in (None, "", (), {}) or isinstance(value, bool):
        return {True: "yes", False: "no"}.get(value, "") if isinstance(value, bool) else ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def command_rows(root: click.Group) -> Iterator[Row]:
    """The options that single commands have of their own."""

    def walk(command: click.Command, path: tuple[str, ...]) -> Iterator[Row]:
        for parameter in command.params:
            if (
                isinstance(parameter, click.Option)
                and parameter.expose_value
                and not isinstance(parameter, TableOption)
            ):
                yield _own_row(parameter, path)
        if isinstance(command, click.Group):
            for name, inner in command.commands.items():
                yield from walk(inner, (*path, name))

    yield from walk(root, ())


def _own_row(option: click.Option, path: tuple[str, ...]) -> Row:
    name = option.name or ""
    choices = tuple(option.type.choices) if isinstance(option.type, click.Choice) else ()
    pairs = [f"{on}/{off}" for on, off in zip(option.opts, option.secondary_opts, strict=False)]
    kind: Kind = "switch" if option.is_flag else "many" if option.multiple else "choice" if choices else "text"
    shapes: dict[str, str] = {"boolean": "bool", "integer": "int", "integer range": "int", "float": "number"}
    default = option.default if isinstance(option.default, str | int | float) else ""
    if isinstance(default, bool):
        default = "yes" if default else "no"
    words = option.help or ""
    stated = _DEFAULT.search(words)
    return Row(
        section=".".join(path),
        name=name,
        flags=tuple(pairs or option.opts),
        kind=kind,
        type="list" if option.multiple else shapes.get(option.type.name, "text"),
        heading="Options",
        metavar=option.metavar or "",
        help=_DEFAULT.sub("", words),
        default=stated[1] if stated else str(default),
        variable=option.envvar
        if isinstance(option.envvar, str)
        else "_".join(("ATB", *path, name)).replace("-", "_").upper(),
        choices=choices,
        model="",
    )


def as_fields(row: Row) -> dict[str, Any]:
    """The row as JSON has it."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(row).items()}
