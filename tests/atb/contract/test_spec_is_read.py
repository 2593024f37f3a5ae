"""Every field of a spec is used by the trainer: an option that nothing reads would be a lie."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

from atb.contract.spec import Spec

TRAINER = Path(__file__).parents[3] / "trainer"


@functools.cache
def fields_read() -> set[str]:
    """What is read as ``spec.FIELD`` or ``….spec.FIELD`` outside the contract."""
    found = set()
    for path in TRAINER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                owner = node.value
                name = (
                    owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
                )
                if name == "spec":
                    found.add(node.attr)
    return found


@pytest.mark.parametrize("field", sorted(set(Spec.model_fields) - {"schema_version"}))
def test_a_field_is_read_outside_the_contract(field: str) -> None:
    assert field in fields_read()
