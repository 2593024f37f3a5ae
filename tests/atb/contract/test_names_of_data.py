"""Names of sources and features are known when a run is planned, not in its jobs."""

from __future__ import annotations

import pytest

from atb.contract.sources import split_source
from atb.contract.spec import resolve_spec
from atb.errors import SpecError


@pytest.mark.parametrize("text", ["binance", "sample", "ccxt:kraken", "files:/data/bars", "files:store:mine"])
def test_known_sources_pass(text: str) -> None:
    assert ":".join(part for part in split_source(text) if part) == text


@pytest.mark.parametrize("text", ["", "binnance", "binance:", "binance:spot", "ccxt", "ccxt:", "files:", "sample:1"])
def test_any_other_source_is_a_spec_error(text: str) -> None:
    with pytest.raises(SpecError, match="is unknown; write binance, ccxt:EXCHANGE, files:PATH or sample"):
        resolve_spec("BTCUSDT", "fast", {"source": text})


def test_features_are_checked_and_spelled_in_one_way() -> None:
    spec = resolve_spec("BTCUSDT", "fast", {"features": "relative, +rate"}, now=None)
    assert spec.features == "relative,+rate"
    with pytest.raises(SpecError, match="did you mean classic"):
        resolve_spec("BTCUSDT", "fast", {"features": "clasic"})
