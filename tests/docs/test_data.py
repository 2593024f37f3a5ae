"""docs/data.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from atb.contract.features import FEATURE_SETS
from atb.contract.sources import split_source
from atb.contract.spec import Market, OnGap
from tests.plugins import install
from tests.trainer.export.test_indicators import WANTED, features_in_a_graph
from tests.trainer.export.trained import make_bars
from trainer.bars.check import JUMP, MIN_COMPLETE
from trainer.bars.exchange.binance import ARCHIVE_VARIABLE, REST_VARIABLE
from trainer.bars.exchange.http import LONGEST_WAIT_SECONDS
from trainer.features.sets import compute_features, feature_set

TEXT = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", FEATURE_SETS)
def test_the_columns_are_the_sets(name: str) -> None:
    row = re.search(rf"^\| `{name}`[^|]*\| ([^|]+) \|$", TEXT, re.MULTILINE)
    assert row is not None
    assert tuple(row[1].split()) == feature_set(name).columns
    assert f"the first {feature_set(name).warmup} rows of a segment" in TEXT


def test_the_feature_set_that_is_printed_is_one_and_its_graph_gives_its_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = TEXT[TEXT.index("### A feature set of your own") :]
    code = section.partition("```python\n")[2].partition("```")[0]
    install(tmp_path, monkeypatch, {"atb.features/momentum": "my_features:MOMENTUM"}, {"my_features": code})
    features = feature_set("momentum")
    bars = make_bars(features.memory + WANTED, 100.0)
    expected = compute_features(features, bars)[-WANTED:]
    assert np.allclose(features_in_a_graph("momentum", bars), expected, rtol=3e-7, atol=1e-12)


def test_every_source_market_and_gap_policy_is_there() -> None:
    for text in re.findall(r"^\| `(binance|ccxt:\w+|files:\w+|sample)`", TEXT, re.MULTILINE):
        split_source(text)
    assert all(f"`{name}`" in TEXT for name in (*get_args(OnGap), "um", "cm"))
    assert all(f"{name}" in TEXT for name in get_args(Market))


def test_the_numbers_and_names_are_the_codes() -> None:
    assert f"less than {MIN_COMPLETE:.0%}".replace("%", " %") in TEXT
    assert f"more than {JUMP:.0%}".replace("%", " %") in TEXT
    assert LONGEST_WAIT_SECONDS == 600
    assert "more than ten minutes" in TEXT
    assert ARCHIVE_VARIABLE in TEXT
    assert REST_VARIABLE in TEXT
