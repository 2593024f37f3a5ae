"""The cluster's options from flags, a YAML file and an earlier run's plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from pydantic import ValidationError

from atb.contract.names import whole_number
from atb.errors import SpecError
from atb.options.text_file import read_text_file
from atb.schema import first_problem
from launcher.kubernetes.options import ClusterOptions

_PAIRS = ("node_selector", "resources", "env", "env_plain", "labels", "annotations")
"""Options that are given as NAME=VALUE, one flag each."""
_MOST_PARTS = 100_000
"""Values in a file of options: a few lines of anchors can stand for billions."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def read_options(
    flags: Mapping[str, Any], base: Mapping[str, Any] | None = None, where: str = "the cluster's options"
) -> ClusterOptions:
    """The options of the file, then of the flags, over ``base``. Raises SpecError that names the first problem."""
    fields: dict[str, Any] = dict(base or {})
    if path := flags.get("cluster_options"):
        fields |= _read_file(path)
    for name in ClusterOptions.model_fields:
        value = flags.get(name)
        if value in (None, ()):
            continue
        if name in _PAIRS:
            fields[name] = {**fields.get(name, {}), **dict(_pair(text, name) for text in value)}
        elif name == "tolerations":
            fields[name] = [*fields.get(name, ()), *(_toleration(text) for text in value)]
        elif isinstance(value, tuple):
            fields[name] = [*fields.get(name, ()), *value]
        else:
            fields[name] = _seconds(str(value), name) if name.endswith("_seconds") else value
    return parse_options(fields, where)


def parse_options(fields: Mapping[str, Any], where: str) -> ClusterOptions:
    """Cluster options from plain data. Raises SpecError that names ``where`` and the first problem."""
    if not fields.get("image"):
        raise SpecError("no image to train in: give --image NAME@sha256:… or the image in --cluster-options FILE")
    try:
        return ClusterOptions.model_validate(fields)
    except ValidationError as error:
        raise SpecError(f"{where}: {first_problem(error)}") from None


def _read_file(path: str) -> dict[str, Any]:
    import yaml

    try:
        text = read_text_file(path)
    except ValueError as error:
        raise SpecError(f"--cluster-options {path}: can't read the file: {error}") from None
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:  # its own words quote lines, which may hold anything
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or "it can't be read"
        raise SpecError(f"--cluster-options {path} is not YAML{where}: {reason}") from None
    except (ValueError, RecursionError) as error:  # PyYAML makes dates and numbers itself
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise SpecError(f"--cluster-options {path} is not YAML: {reason}") from None
    if not isinstance(found, dict):
        raise SpecError(f"--cluster-options {path} is not a YAML mapping, like image: NAME")
    if len(list(islice(_parts(found), _MOST_PARTS))) == _MOST_PARTS:
        raise SpecError(f"--cluster-options {path} holds more than {_MOST_PARTS:,} values; do its anchors repeat them?")
    return found


def _parts(value: object) -> Iterator[object]:
    """The value and all that is in it, what is there by an anchor once more each time."""
    left = [value]
    while left:
        one = left.pop()
        yield one
        left += [*one, *one.values()] if isinstance(one, dict) else one if isinstance(one, list | set | tuple) else ()


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise SpecError(f"{option.replace('_', '-')} {name!r} is not NAME=VALUE")
    return name, value


def _toleration(text: str) -> dict[str, str]:
    if not text.strip():  # which would be all taints
        raise SpecError("toleration '' names no taint; write KEY, KEY=VALUE or KEY:EFFECT")
    rest, _, effect = text.partition(":")
    key, equals, value = rest.partition("=")
    how = {"operator": "Equal", "value": value} if equals else {"operator": "Exists"}
    return {"key": key, **how, **({"effect": effect} if effect else {})}


def _seconds(text: str, option: str) -> int:
    seconds = text if text[-1:] in _UNITS else f"{text}s"
    number = whole_number(seconds[:-1])
    if number is None:
        raise SpecError(
            f"{option.replace('_', '-')} {text[:40]!a} is not a number and one of s, m, h, d; write 90m or 24h"
        )
    return number * _UNITS[seconds[-1]]
