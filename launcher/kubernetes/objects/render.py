"""Objects as YAML that people read and ``kubectl apply -f -`` takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml


def render_yaml(objects: Iterable[dict[str, Any]]) -> str:
    """The objects as one YAML stream, without anchors."""
    return yaml.dump_all(objects, Dumper=_Plain, sort_keys=False, width=110, explicit_start=True)


class _Plain(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # libyaml's, where it is there
    def ignore_aliases(self, data: Any) -> bool:
        return True
