"""Objects as YAML that people read and ``kubectl apply -f -`` takes.

Written here and not by PyYAML, which takes several times as long even in C, and half of all that a dry run takes:
``benchmarks/books.py`` measures both. PyYAML reads back the same objects.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Any

import yaml

_PLAIN = re.compile(
    r"(?:--)?[A-Za-z/][A-Za-z0-9._/@+-]*(?:[ :][A-Za-z0-9._/@+-]+)*"
    r"|(?!0[xobXOB])[0-9]+[A-DF-Za-df-z][A-Za-z0-9.-]*"
)
"""Texts that are no number, instant or other kind of value in YAML 1.1 or 1.2, unless they are among ``_WORDS``."""
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def render_yaml(objects: Iterable[dict[str, Any]]) -> str:
    """The objects as one YAML stream, without anchors."""
    return "".join("\n".join(["---", *_lines(each, ""), ""]) for each in objects)


def _lines(value: dict[str, Any] | list[Any] | tuple[Any, ...], indent: str) -> list[str]:
    """The lines of a block; of an empty one, its only line."""
    lines: list[str] = []
    if not value:
        return [indent + _scalar(value)]
    if isinstance(value, dict):
        for key, each in value.items():
            if each and isinstance(each, dict | list | tuple):
                lines.append(f"{indent}{_scalar(key)}:")
                lines += _lines(each, f"{indent}  " if isinstance(each, dict) else indent)
            else:
                lines.append(f"{indent}{_scalar(key)}: {_scalar(each)}")
        return lines
    for each in value:
        if each and isinstance(each, dict | list | tuple):
            first, *rest = _lines(each, f"{indent}  ")
            lines += [f"{indent}- {first[len(indent) + 2 :]}", *rest]
        else:
            lines.append(f"{indent}- {_scalar(each)}")
    return lines


def _scalar(value: object) -> str:
    """In one line."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if type(value) is int:
        return str(value)
    return _dump(value)


@functools.lru_cache(maxsize=4096)
def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    if text.isascii() and text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return _dump(text, style='"')


def _dump(value: object, style: str | None = None) -> str:
    found: str = yaml.safe_dump(value, default_style=style, width=1 << 30, default_flow_style=True)
    return found.removesuffix("\n").removesuffix("\n...")
