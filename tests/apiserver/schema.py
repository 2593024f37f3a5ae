"""Which fields an object may have: what `fieldValidation=Strict` refuses."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate

_ROOT = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / "v1.36.0-local-strict"
_FILES = {"jobs": "job-batch-v1.json", "configmaps": "configmap-v1.json"}


def unknown_fields(resource: str, body: dict[str, Any]) -> list[str]:
    """The paths of fields that the schema of 1.36 does not have."""
    name = _FILES.get(resource)
    return sorted(_walk(body, _load(name), "")) if name else []


def _walk(value: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    schema = _resolve(schema)
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(item, schema.get("items", {}), f"{path}[{index}]")
    elif isinstance(value, dict) and "properties" in schema:
        for key, item in value.items():
            below = f"{path}.{key}".lstrip(".")
            if key in schema["properties"]:
                yield from _walk(item, schema["properties"][key], below)
            else:
                yield below


def _resolve(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = _load("_definitions.json")["$defs"][schema["$ref"].rpartition("/")[2]]
    for choice in (*schema.get("oneOf", ()), *schema.get("anyOf", ()), *schema.get("allOf", ())):
        if "properties" in choice or "$ref" in choice:
            return _resolve(choice)
    return schema


@functools.cache
def _load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((_ROOT / name).read_text())
    return loaded
