"""What people read, made from Jinja2 templates that lie in a package's folder ``templates``."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2

_PIECES = 10_000
"""Pieces of a template that make a block."""


def render(package: str, name: str, **values: Any) -> str:
    """A template of ``package``, filled in. In HTML everything is escaped that is not marked as safe."""
    return "".join(render_blocks(package, name, **values))


def render_blocks(package: str, name: str, **values: Any) -> Iterator[str]:
    """The same in blocks: a page of thousands of rows takes as much memory again while it is put together."""
    stream = load_template(package, name).stream(values)
    stream.enable_buffering(_PIECES)
    yield from stream


def load_template(package: str, name: str) -> jinja2.Template:
    """A template of ``package``, compiled once in a process."""
    return _environment(package).get_template(name)


@functools.cache
def _environment(package: str) -> jinja2.Environment:
    import jinja2  # loaded where something is rendered, and not by --help

    return jinja2.Environment(
        loader=jinja2.PackageLoader(package, "templates"),
        autoescape=jinja2.select_autoescape(enabled_extensions=("html.j2",), default_for_string=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
