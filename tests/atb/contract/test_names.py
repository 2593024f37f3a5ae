"""Numbers in names, headers and annotations, which anybody can have written."""

from __future__ import annotations

import pytest

from atb.contract.names import decimal_number, whole_number

FOREIGN = (
    "",
    " 1",
    "1 ",
    "+1",
    "-1",
    "1e3",
    "0x1f",
    "1_0",
    "\u0661",
    "\u00b2",
    "\uff11",
    "\u0967",
    "1\n",
    "nan",
    "inf",
    "x",
)
"""Most are numbers to Python's ``int`` or ``float``, or digits to ``str.isdigit``."""


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("007", 7), ("12", 12), ("999999999", 999_999_999)])
def test_ascii_digits_are_a_whole_number(text: str, number: int) -> None:
    assert whole_number(text) == number


@pytest.mark.parametrize("text", [*FOREIGN, "1.5", "1" * 10, "9" * 5_000])
def test_anything_else_is_none(text: str) -> None:
    assert whole_number(text) is None


def test_how_many_digits_are_taken_can_be_said() -> None:
    assert whole_number("1" * 13, 13) == 1_111_111_111_111
    assert whole_number("1" * 14, 13) is None


@pytest.mark.parametrize(("text", "number"), [("0", 0.0), ("3", 3.0), ("1.5", 1.5), ("1767225600.25", 1767225600.25)])
def test_seconds_can_have_decimals(text: str, number: float) -> None:
    assert decimal_number(text) == number


@pytest.mark.parametrize("text", [*FOREIGN, "1.", ".5", "1.5.2", "1,5", "9" * 400])
def test_what_is_no_decimal_number_is_none(text: str) -> None:
    assert decimal_number(text) is None
