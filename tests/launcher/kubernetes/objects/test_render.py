"""What is rendered reads back as it was: by PyYAML here, by kubectl in a cluster."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from launcher.kubernetes.objects.render import render_yaml

ODD = (
    "", " ", " a", "a ", "1", "-1", "1.5", "1e5", "0x1f", "0o17", "010", "1_000", "12:30", "2026-01-31", "true", "No",
    "~", "null", "y", "=", "<<", "- a", "a: b", "a:", "a #b", "a\nb", "a\tb", "'", '"', "{}", "[", "--run", "---",
    "...", "!x", "&x", "*x", "%x", "@x", "`x", "\u5e01\u5b89", "\x85", "\u2028", "\x7f", "\U0001f680", "36Gi",
    "3c3a4e5e-0000", "x" * 300, "a b " * 60,
)  # fmt: skip
texts = st.sampled_from(ODD) | st.text(st.characters(codec="utf-8"), max_size=20)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)


@given(st.lists(st.dictionaries(texts, values, max_size=4), max_size=3))
def test_what_is_rendered_reads_back_as_it_was(objects: list[dict[str, Any]]) -> None:
    assert list(yaml.safe_load_all(render_yaml(objects))) == objects


@pytest.mark.parametrize("text", ["1e5", "1E10", "0o17", "0x1F", "12", "2026-01-31", "Yes", "y", "null", "~", ".inf"])
def test_a_text_that_some_version_of_yaml_takes_for_another_kind_is_quoted(text: str) -> None:
    assert render_yaml([{"value": text}]) == f"---\nvalue: '{text}'\n"


def test_blocks_are_indented_as_kubectl_writes_them() -> None:
    text = render_yaml([{"a": {"b": [{"c": 1, "d": [[2, 3], []]}], "e": {}}, "f": True}])
    assert text == "---\na:\n  b:\n  - c: 1\n    d:\n    - - 2\n      - 3\n    - []\n  e: {}\nf: true\n"
