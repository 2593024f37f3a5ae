"""Lengths and instants: within reach, or refused in one line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from atb.contract import timeframe as tf
from atb.contract.spec import Spec, resolve_spec
from atb.errors import SpecError

NOW = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "h",
        "0h",
        "-1h",
        "1H",
        "1M",
        "1h ",
        "1h\n",
        "1.5h",
        "٣h",
        "\uff11h",
        "9" * 5000 + "m",
        "999999w",
        "367d",
        "1hh",
    ],
)
def test_what_is_no_length_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match=r"^timeframe ") as caught:
        tf.to_ms(text)
    assert len(str(caught.value)) < 200
    assert str(caught.value).isascii()


@pytest.mark.parametrize(
    "options",
    [
        {"as_of": "0001-02-01"},
        {"as_of": "0001-01-01T00:00+14:00"},
        {"as_of": "9999-12-31T23:59-14:00"},
        {"start": "0001-01-01"},
        {"end": "9999-12-31"},
        {"days": "36500", "as_of": "1991-01-01"},
        {"as_of": datetime.max},
        {"as_of": datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))},
        {"as_of": "2026-13-01"},
        {"as_of": "1" * 10_000},
        {"days": "nan"},
        {"days": "1e400"},
        {"days": "x" * 1000},
        {"days": "36500", "timeframe": "1m"},
        {"timeframe": "1y"},
    ],
)
def test_an_instant_or_a_window_out_of_reach_is_one_line(options: dict[str, Any]) -> None:
    with pytest.raises(SpecError) as caught:
        resolve_spec("BTCUSDT", "fast", options, now=NOW)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_an_instant_without_a_zone_is_utc_whatever_it_comes_as() -> None:
    for as_of in ("2026-01-31T06:00", datetime(2026, 1, 31, 6), datetime(2026, 1, 31, 6, tzinfo=UTC)):
        assert resolve_spec("BTCUSDT", "fast", {"as_of": as_of}).as_of == datetime(2026, 1, 31, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    "field", [{"start": "0001-01-01T00:00:00Z"}, {"as_of": "9999-12-31T00:00:00Z"}, {"timeframe": "1y"}]
)
def test_a_resolved_spec_from_elsewhere_is_held_to_the_same(field: dict[str, str]) -> None:
    spec = resolve_spec("BTCUSDT", "fast", {}, now=NOW).model_dump(mode="json")
    with pytest.raises((SpecError, ValidationError)):
        Spec.model_validate({**spec, **field})


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=12))
def test_whatever_is_written_it_is_a_spec_or_a_line(timeframe: str, instant: str, days: str) -> None:
    try:
        resolve_spec("BTCUSDT", "fast", {"timeframe": timeframe, "as_of": instant, "days": days}, now=NOW)
    except SpecError as error:
        line = str(error)
        assert "\n" not in line
