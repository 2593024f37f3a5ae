"""Jinja2 templates of what people read, with everything escaped that is not marked as safe."""

from __future__ import annotations

import functools
from typing import Any

import jinja2


def render(name: str, **values: Any) -> str:
    """A template of this folder, filled in."""
    return _environment().get_template(name).render(values)


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("launcher.report", "templates"),
        autoescape=jinja2.select_autoescape(enabled_extensions=("html.j2",), default=True),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
