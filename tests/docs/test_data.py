"""docs/data.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from atb.contract.features import FEATURE_SETS
from atb.contract.sources import split_source
from atb.contract.spec import Market, OnGap
from trainer.bars.check import JUMP, MIN_COMPLETE
from trainer.bars.exchange.binance import ARCHIVE_VARIABLE, REST_VARIABLE
from trainer.bars.exchange.http import LONGEST_WAIT_SECONDS
from trainer.features.sets import feature_set

TEXT = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", FEATURE_SETS)
def test_the_columns_are_the_sets(name: str) -> None:
    row = re.search(rf"^\| `{name}`[^|]*\| ([^|]+) \|$", TEXT, re.MULTILINE)
    assert row is not None
    assert tuple(row[1].split()) == feature_set(name).columns
    assert f"the first {feature_set(name).warmup} rows of a segment" in TEXT


def test_every_source_market_and_gap_policy_is_there() -> None:
    for text in re.findall(r"^\| `(binance|ccxt:\w+|files:\w+|sample)`", TEXT, re.MULTILINE):
        split_source(text)
    assert all(f"`{name}`" in TEXT for name in (*get_args(OnGap), "um", "cm"))
    assert all(f"{name}" in TEXT for name in get_args(Market))


def test_the_numbers_and_names_are_the_codes() -> None:
    assert f"less than {MIN_COMPLETE:.0%}".replace("%", " %") in TEXT
    assert f"more than {JUMP:.0%}".replace("%", " %") in TEXT
    assert LONGEST_WAIT_SECONDS == 600
    assert "ten minutes or more" in TEXT
    assert ARCHIVE_VARIABLE in TEXT
    assert REST_VARIABLE in TEXT
