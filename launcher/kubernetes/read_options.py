"""The cluster's options from flags, a YAML file and an earlier run's plan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from atb.errors import SpecError
from atb.schema import first_problem
from launcher.kubernetes.options import ClusterOptions

_PAIRS = ("node_selector", "resources", "env", "env_plain", "labels", "annotations")
"""Options that are given as NAME=VALUE, one flag each."""
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
        return ClusterOptions(**fields)
    except ValidationError as error:
        raise SpecError(f"{where}: {first_problem(error)}") from None


def _read_file(path: str) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(Path(path).expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"--cluster-options {path}: can't read the file: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpecError(f"--cluster-options {path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        raise SpecError(f"--cluster-options {path} is not a YAML mapping, like image: NAME")
    return found


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise SpecError(f"{option.replace('_', '-')} {name!r} is not NAME=VALUE")
    return name, value


def _toleration(text: str) -> dict[str, str]:
    rest, _, effect = text.partition(":")
    key, equals, value = rest.partition("=")
    how = {"operator": "Equal", "value": value} if equals else {"operator": "Exists"}
    return {"key": key, **how, **({"effect": effect} if effect else {})}


def _seconds(text: str, option: str) -> int:
    number, unit = text[:-1], text[-1:]
    if text.isdigit():
        number, unit = text, "s"
    if unit not in _UNITS or not number.isdigit():
        raise SpecError(f"{option.replace('_', '-')} {text!r} is not a number and one of s, m, h, d; write 90m or 24h")
    return int(number) * _UNITS[unit]
