"""Quantities as Kubernetes writes them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.errors import SpecError
from launcher.kubernetes.api.quantity import format_memory, parse_quantity
from launcher.kubernetes.control.retry import more_memory


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("500m", "0.5"),
        ("2", "2"),
        ("8Gi", str(8 * 2**30)),
        ("1k", "1000"),
        ("1e3", "1000"),
        (".5", "0.5"),
        ("3E", "3e18"),
    ],
)
def test_quantities_are_read_as_kubernetes_reads_them(text: str, number: str) -> None:
    assert parse_quantity(text) == Decimal(number)


def test_what_is_no_quantity_is_a_users_mistake() -> None:
    with pytest.raises(SpecError, match="8Gi"):
        parse_quantity("8GB")


@pytest.mark.parametrize("text", ["1e999999999", "9e99999999999999999999", "1e-99999", "8.1Ei", "9" * 5_000, "1e99"])
def test_a_quantity_that_no_machine_has_is_a_users_mistake(text: str) -> None:
    with pytest.raises(SpecError, match=r"^quantity .{1,60} is (not like|more than)"):
        parse_quantity(text)


@given(st.integers(1, 2**50))
def test_a_written_amount_is_read_as_at_least_as_much_and_less_than_a_mebibyte_more(amount: int) -> None:
    read = parse_quantity(format_memory(amount))
    assert 0 <= read - amount < 2**20


def test_memory_grows_by_half_up_to_its_limit_and_then_no_more() -> None:
    assert more_memory("8Gi", "32Gi") == "12Gi"
    assert more_memory("24Gi", "32Gi") == "32Gi"
    assert more_memory("32Gi", "32Gi") is None
