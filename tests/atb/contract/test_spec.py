"""What a spec resolves to, and what its digest is over."""

from __future__ import annotations

from typing import Any

import pytest

from atb.contract.spec import Spec, band_levels, resolve_spec
from atb.errors import SpecError

WINDOW = {"as_of": "2026-01-31T06:00Z", "source": "sample"}


def resolve(**options: Any) -> Spec:
    return resolve_spec("BTCUSDT", "fast", {**WINDOW, **options})


def test_a_field_that_earlier_versions_lack_changes_no_digest_at_its_default() -> None:
    assert resolve().digest == "eba78b99b220148749f1420ec8e5755cd1f58442372317d7069008083177537f"
    assert resolve(bands="0.95, 0.5,0.80").digest == resolve().digest
    digests = {resolve(**options).digest for options in ({}, {"bands": "0.9"}, {"target": "volatility"})}
    assert len(digests) == 3


def test_volatility_brings_its_features_and_learns_what_har_leaves() -> None:
    spec = resolve(target="volatility")
    assert (spec.features, spec.residual, spec.horizon) == ("volatility", "har", 1)
    assert resolve(target="volatility", features="volatility,+rate").residual == "har"
    assert resolve(target="volatility", residual="none").features == "volatility"
    assert resolve(target="volatility", features="relative").residual == "none"
    assert (resolve().features, resolve().residual) == ("classic", "none")
    assert resolve(features="volatility").residual == "none"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"residual": "har"}, "HAR forecasts volatility; with har write --target volatility"),
        ({"target": "volatility", "features": "classic", "residual": "har"}, "HAR reads the features volatility"),
        ({"target": "vol"}, "target vol: should be 'return' or 'volatility'"),
        ({"bands": ""}, "are not 1 to 9 levels between 0.01 and 0.999"),
        ({"bands": "0.5,1"}, "'0.5,1' are not"),
        ({"bands": "nan"}, "'nan' are not"),
        ({"bands": "half"}, "'half' are not"),
        ({"bands": ",".join(f"0.{number}" for number in range(10, 20))}, "are not 1 to 9"),
    ],
)
def test_an_invalid_spec_is_a_one_line_error(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(SpecError, match=problem):
        resolve(**options)


def test_levels_go_from_the_narrowest() -> None:
    assert band_levels(" 0.95,0.5, 0.8") == (0.5, 0.8, 0.95)
