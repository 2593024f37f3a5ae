"""Nets, feature sets, bars sources and stores as plug-ins: a module and an entry point each, and no file of ours."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

import atb
from atb.code import code_digest, code_digest_of
from atb.contract.spec import Spec, resolve_spec
from atb.errors import SpecError
from atb.plugins import list_plugins
from launcher.plan.build import build_plan, commit_plan, read_plan
from tests.plugins import install
from trainer.doctor import check_plugins
from trainer.features.sets import feature_set
from trainer.networks.own import build_own_network

PARTS = """
from dataclasses import replace
from atb.storage import MemoryStore
from trainer.bars.sample import SampleSource

STORES = {}


class Doubled(SampleSource):
    def __init__(self, rest):
        super().__init__()
        self.name = f"doubled:{rest}"
        self.factor = float(rest)

    def fetch(self, *asked):
        bars = super().fetch(*asked)
        return replace(bars, values=bars.values * [*[self.factor] * 4, 1.0], origins={})


def open_bars(rest, store):
    return Doubled(rest)


def open_kept(url, endpoint_url):
    return STORES.setdefault(url, MemoryStore())
"""
ENTRIES = {
    "atb.nets/attention": "tests.trainer.networks.own_nets:attention",
    "atb.features/momentum": "tests.trainer.features.own_sets:MOMENTUM",
    "atb.sources/doubled": "my_parts:open_bars",
    "atb.stores/kept": "my_parts:open_kept",
}
NOW = datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    install(tmp_path, monkeypatch, ENTRIES, {"my_parts": PARTS})
    return tmp_path / "my_parts.py"


def test_bars_come_from_a_source_of_ones_own(parts: Path) -> None:
    window = {"days": 5, "as_of": "2026-02-01", "store": "kept://bars"}
    plain = atb.load_bars("BTCUSDT", source="sample", days=5, as_of="2026-02-01", store="kept://bars")
    found = atb.load_bars("BTCUSDT", source="doubled:2", **window)  # type: ignore[arg-type]
    assert (found["close"] == 2 * plain["close"]).all()
    with pytest.raises(SpecError, match="source 'tripled:2' is unknown"):
        atb.load_bars("BTCUSDT", source="tripled:2", **window)  # type: ignore[arg-type]


def test_a_run_is_kept_in_a_store_of_ones_own(parts: Path) -> None:
    store = atb.open_store("kept://models")
    commit_plan(build_plan("r1", ["BTCUSDT"], ["fast"], {"source": "sample"}, backend="local", now=NOW), store)
    assert read_plan(atb.open_store("kept://models"), "r1").run == "r1"
    with pytest.raises(SpecError):
        atb.open_store("lost://models")


def test_a_net_and_a_feature_set_are_named_by_their_entry_points(parts: Path) -> None:
    spec = resolve_spec("BTCUSDT", "fast", {"net": "attention", "features": "momentum,+rate"}, now=NOW)
    assert feature_set(spec.features).columns == ("log_return", "momentum", "volume_grew", "rate")
    assert build_own_network(spec.net, 16, 4, 1).output_shape == (None, 1)
    with pytest.raises(SpecError, match="feature set 'momentun' is unknown; did you mean momentum"):
        resolve_spec("BTCUSDT", "fast", {"features": "momentun"}, now=NOW)


def test_a_document_that_names_a_plug_in_is_read_where_it_is_not_installed(parts: Path) -> None:
    spec = resolve_spec("BTCUSDT", "fast", {"source": "doubled:2", "features": "momentum"}, now=NOW)
    elsewhere = spec.to_bytes().replace(b"doubled", b"tripled").replace(b"momentum", b"absent")
    assert Spec.from_bytes(elsewhere, "SPEC").features == "absent"
    assert code_digest_of(Spec.from_bytes(elsewhere, "SPEC")) != code_digest_of(spec)


def test_what_a_part_is_made_of_is_part_of_the_code(parts: Path) -> None:
    spec = resolve_spec("BTCUSDT", "fast", {"source": "doubled:2"}, now=NOW)
    before = code_digest_of(spec)
    assert before != code_digest()
    parts.write_text(PARTS + "# changed\n")
    assert code_digest_of(spec) not in (before, code_digest())
    assert code_digest_of(resolve_spec("BTCUSDT", "fast", {"source": "sample"}, now=NOW)) == code_digest()


@pytest.mark.parametrize("net", ["os:system", "sys:exit", "math:sin", "json:loads", "json.decoder:JSONDecoder"])
def test_whatever_module_is_named_has_a_code_digest(net: str) -> None:
    spec = resolve_spec("BTCUSDT", "fast", {"source": "sample", "net": net})
    assert code_digest_of(spec) == code_digest_of(spec) != code_digest()


def test_the_doctor_lists_what_is_installed(parts: Path) -> None:
    assert [(each.name, each.distribution, each.version) for each in list_plugins("atb.sources", "atb.stores")] == [
        ("doubled", "my-parts", "1.0"),
        ("kept", "my-parts", "1.0"),
    ]
    texts = [finding.text for finding in check_plugins()]
    assert [text.partition(": ")[0] for text in texts] == [
        "features momentum",
        "nets attention",
        "sources doubled",
        "stores kept",
    ]
    assert texts[2].startswith("sources doubled: my_parts:open_bars my-parts 1.0 ")


def test_the_doctor_says_which_part_can_not_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, {"atb.nets/gone": "no_such_module:net"}, {})
    (finding,) = check_plugins()
    assert "gone can't be loaded from no_such_module:net" in str(finding.error)
