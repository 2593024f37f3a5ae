"""values.yaml, values.schema.json and the README's table, all written from the models of the values."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from launcher.records.categories import CATEGORIES, Retry
from tools.chart.values import Schedule, Values

_RETRIES: dict[Retry, str] = {
    "never": "no",
    "memory": "with more memory",
    "elsewhere": "on another node",
    "free": "yes, uncounted",
    "counted": "up to `jobs.backoffLimit`",
}


@dataclass(frozen=True)
class Leaf:
    """One value that can be set: its path in values.yaml, default and description."""

    path: tuple[str, ...]
    default: Any
    description: str


def leaves(section: BaseModel | None = None, path: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """Every value, in the order of values.yaml."""
    section = section or Values()
    for name, info in type(section).model_fields.items():
        here, value = (*path, _key(name, info)), getattr(section, name)
        if isinstance(value, BaseModel):
            yield from leaves(value, here)
        else:
            yield Leaf(here, _plain(value), info.description or "")


def values_yaml() -> str:
    """The chart's values.yaml: every value with its comment and default."""
    head = "# Written by make chart-docs from tools/chart/values.py. Override values in a file of your own.\n"
    return head + "".join(_yaml_of(Values(), 0))


def values_schema() -> str:
    """The JSON schema that helm checks values with."""
    schema = Values.model_json_schema(by_alias=True, mode="validation")
    definitions = schema["$defs"]
    for field in definitions[Schedule.__name__]["properties"].values():
        field.pop("default", None)  # a schedule's defaults are scheduleDefaults
    for name, section in [("", schema), *definitions.items()]:
        if name != Schedule.__name__:  # helm takes a key away that is null, whose default the templates read
            section["required"] = [key for key, each in section["properties"].items() if not _may_be_null(each)]
    _drop_titles(schema)
    schema["properties"]["global"] = {"type": "object", "description": "Set by a parent chart; not read."}
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Values of the atb chart"} | schema
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def values_table() -> str:
    """The README's table."""
    rows = ["| Value | Default | What it is |", "|---|---|---|"]
    for leaf in leaves():
        default = json.dumps(leaf.default, ensure_ascii=False)
        rows.append(f"| `{'.'.join(leaf.path)}` | `{default}` | {_cell(leaf.description)} |")
    rows += ["", "A schedule has these keys; all but the first four default to `scheduleDefaults`.", ""]
    rows += ["| Key | What it is |", "|---|---|"]
    own = [name for name in Schedule.model_fields if name in ("name", "cron", "symbols", "jobs")]
    for name in [*own, *(name for name in Schedule.model_fields if name not in own)]:
        info = Schedule.model_fields[name]
        rows.append(f"| `{_key(name, info)}` | {_cell(info.description or '')} |")
    return "\n".join(rows) + "\n"


def categories_table() -> str:
    """The guide's table of what can go wrong: the launcher's own categories."""
    rows = ["| Category | Exit | What it means | Tried again | What helps |", "|---|---|---|---|---|"]
    for category in CATEGORIES.values():
        again = _RETRIES[category.retry]
        rows.append(f"| `{category.name}` | {category.exit_code} | {category.meaning} | {again} | {category.remedy} |")
    return "\n".join(rows) + "\n"


def with_table(page: str, name: str, table: str) -> str:
    """A page with what is between its marks of that name replaced."""
    begin, end = f"<!-- {name}: written by make chart-docs -->", f"<!-- end of {name} -->"
    before, found, rest = page.partition(begin)
    assert found, f"the page has no mark {begin}"
    return f"{before}{begin}\n\n{table}\n{end}{rest.partition(end)[2]}"


def _yaml_of(section: BaseModel, indent: int) -> Iterator[str]:
    pad = " " * indent
    for name, info in type(section).model_fields.items():
        key, value = _key(name, info), getattr(section, name)
        if indent == 0:
            yield "\n"
        for line in textwrap.wrap(_description(info, value), 110 - indent, break_on_hyphens=False):
            yield f"{pad}# {line}\n"
        if isinstance(value, BaseModel):
            yield f"{pad}{key}:\n"
            yield from _yaml_of(value, indent + 2)
            continue
        plain = _plain(value)
        if isinstance(plain, dict | list) and plain:
            block = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
            yield f"{pad}{key}:\n{textwrap.indent(block, pad + '  ')}"
        else:
            yield f"{pad}{key}: {json.dumps(plain, ensure_ascii=False)}\n"


def _description(info: FieldInfo, value: Any) -> str:
    return info.description or (type(value).__doc__ if isinstance(value, BaseModel) else "") or ""


def _key(name: str, info: FieldInfo) -> str:
    return info.alias or name


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    return list(value) if isinstance(value, tuple) else value


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _may_be_null(field: dict[str, Any]) -> bool:
    return any(each.get("type") == "null" for each in field.get("anyOf", ()))


def _drop_titles(node: Any) -> None:
    if isinstance(node, dict):
        if isinstance(node.get("title"), str):
            del node["title"]
        for child in node.values():
            _drop_titles(child)
    elif isinstance(node, list):
        for child in node:
            _drop_titles(child)
