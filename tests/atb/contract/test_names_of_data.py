"""Names of sources and features are known when a run is planned, not in its jobs."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.contract.labels import label_value, object_name
from atb.contract.sources import normal_symbol, plain_symbol, split_source, validate_symbol
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


@pytest.mark.parametrize(
    "text", ["BTCUSDT", "btc/usdt", "BTC/USDT:USDT", "1000PEPE", "币安人生USDT", "Ünal_X", "กำไร", "x" * 63]
)
def test_letters_of_any_alphabet_make_a_symbol(text: str) -> None:
    assert normal_symbol(text) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    "text",
    ["", "/BTC", "..", "BTC USDT", "BTC\n", "BTC\0", "B\ud800", "x" * 64, "\u202eBTC", "\u0301a", "🚀USDT", "a\\b"],
)
def test_anything_else_is_no_symbol_and_printed_plain(text: str) -> None:
    with pytest.raises(ValueError, match="is not a symbol: letters, digits") as caught:
        normal_symbol(text)
    assert str(caught.value).isascii()


@given(st.text(max_size=70))
def test_a_symbol_has_one_form_one_key_and_a_valid_label(text: str) -> None:
    try:
        symbol = normal_symbol(text)
    except ValueError:
        return
    assert normal_symbol(symbol) == symbol
    assert plain_symbol(symbol) == plain_symbol(symbol.lower()) or not symbol.isascii()
    assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", label_value(symbol))
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", object_name("run", symbol))


@pytest.mark.parametrize(
    ("symbol", "market", "spelt"),
    [
        ("btcusdt", "spot", "BTCUSDT"),
        ("BTC/USDT", "spot", "BTCUSDT"),
        ("BTC_USDT", "spot", "BTCUSDT"),
        ("BTC-USDT", "um", "BTCUSDT"),
        ("BTC/USDT:USDT", "um", "BTCUSDT"),
        ("btcusd_perp", "cm", "BTCUSD_PERP"),
    ],
)
def test_a_symbol_that_binance_spells_otherwise_is_refused_with_its_spelling(
    symbol: str, market: str, spelt: str
) -> None:
    with pytest.raises(SpecError, match=f"binance has no symbol {symbol}: .*; write {spelt}$"):
        validate_symbol(symbol, "binance", market)
    validate_symbol(spelt, "binance", market)
    validate_symbol(symbol, "ccxt:kraken", market)


def test_a_delivery_contract_and_a_listing_in_chinese_are_symbols_of_binance() -> None:
    validate_symbol("BTCUSDT_251226", "binance", "um")
    validate_symbol("币安人生USDT", "binance", "spot")


_PARTS = st.lists(
    st.sampled_from(["atb", "Atb-", "atb-daily-20261125", "daily", "-", "", "btc"]) | st.text(max_size=70)
)


@given(_PARTS, _PARTS)
def test_distinct_identities_have_distinct_valid_names(one: list[str], other: list[str]) -> None:
    names = [object_name("atb", *parts) for parts in (one, other)]
    assert (names[0] == names[1]) == (one == other)
    for name in names:
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name)
        assert len(name) <= 63


@pytest.mark.parametrize("run", ["atb-daily-20261125-001500", "daily-20261125-001500"])
def test_a_run_of_a_schedule_says_atb_once_whether_or_not_its_name_does(run: str) -> None:
    assert object_name("atb", run).startswith("atb-daily-20261125-001500-")


def test_a_run_keeps_its_name_apart_from_one_that_differs_by_what_is_left_out() -> None:
    assert object_name("atb", "atb-x") != object_name("atb", "x")
