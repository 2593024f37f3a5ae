from __future__ import annotations

from html.parser import HTMLParser

import pytest

from atb.contract import keys
from atb.documents.attempt import Verdict
from atb.documents.manifest import Manifest, ManifestJob
from atb.documents.result import Result
from atb.registry.gate import check_candidate
from atb.storage import MemoryStore, Store
from launcher.plan.build import build_plan
from launcher.records.run_record import RunRecord
from launcher.report.page import render_page, write_report
from launcher.report.views.charts import Skill, line_chart, make_axis
from tests.atb.registry.candidates import NOISE, NOTHING, NOW, commit
from tests.atb.test_comparison import BOTH


def record_of(store: Store, *symbols: str) -> RunRecord:
    return RunRecord.of(store, build_plan("r1", symbols, ["fast"], {"as_of": NOW}, backend="local", now=NOW))


def put_verdict(store: Store, job: str) -> None:
    verdict = Verdict(job=job, state="failed", category="bad-data", reason="no bars", recorded=NOW)
    store.put(keys.verdict("r1", job), verdict.to_bytes())


FAILED = ManifestJob(
    job="XUSDT-fast",
    symbol="XUSDT",
    preset="fast",
    state="failed",
    category="bad-data",
    reason="<script>alert(1)</script>",
)


class Balance(HTMLParser):
    """Every tag that is opened is closed in its order, and nothing is fetched from elsewhere."""

    VOID = ("meta", "input")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def put_history(store: Store, result: Result, data: bytes) -> Result:
    file = result.files[1].model_copy(update={"path": "history.json", "key": "h"})
    store.put("h", data)
    changed = result.model_copy(update={"files": (*result.files, file)})
    store.put(f"runs/{result.run}/jobs/{result.job}/result.json", changed.to_bytes())
    return changed


def test_the_page_shows_every_job_its_verdicts_and_its_pictures() -> None:
    store = MemoryStore()
    put_history(store, commit(store, "r1"), b'{"loss": [1, 0.9], "val_loss": [1, 0.95]}')
    noise = commit(store, "r1", "ETHUSDT", metrics=NOISE)
    judged = noise.model_copy(update={"gate": check_candidate(noise, None, NOTHING)})
    store.put(keys.result("r1", noise.job), judged.to_bytes())
    put_verdict(store, "XUSDT-fast")
    key = write_report(store, record_of(store, "BTCUSDT", "ETHUSDT", "XUSDT"))
    page = store.get(key).decode()
    assert key == "runs/r1/report.html"
    for words in (
        "BTCUSDT-fast",
        "ETHUSDT-fast",
        "XUSDT-fast",
        "+0.2000",
        "not passed",
        "bad-data",
        "validation 0.95",
        "the bars cannot be used",
        "what it knows could be chance",
        "atb data check XUSDT --source binance --preset fast --start",
    ):
        assert words in page
    balance = Balance()
    balance.feed(page)
    assert balance.open == []
    assert all(link.startswith(("#", "bundles/", "jobs/", "manifest.json")) for link in balance.links)
    assert "jobs/BTCUSDT-fast/result.json" in balance.links


def test_what_came_from_outside_is_escaped() -> None:
    plan = record_of(MemoryStore(), "XUSDT").plan
    page = render_page(plan, Manifest(run="r1", created=NOW, jobs=(FAILED,)), {}, {}, {}, ["--store", "<store>"])
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_result_or_history_that_is_gone_leaves_the_row_without_details() -> None:
    store = MemoryStore()
    commit(store, "r1")
    put_history(store, commit(store, "r1", "ETHUSDT"), b"{")
    record = record_of(store, "BTCUSDT", "ETHUSDT")
    store.delete("runs/r1/jobs/BTCUSDT-fast/result.json")
    page = store.get(write_report(store, record)).decode()
    assert '<tr data-job="BTCUSDT-fast" id="BTCUSDT-fast">' in page
    assert '<details id="BTCUSDT-fast"' not in page
    assert '<details id="ETHUSDT-fast"' in page


def test_the_same_run_gives_the_same_page() -> None:
    store = MemoryStore()
    commit(store, "r1")
    record = record_of(store, "BTCUSDT")
    assert store.get(write_report(store, record)) == store.get(write_report(store, record))


def test_pictures_take_any_numbers() -> None:
    assert line_chart("flat", {"a": [1.0, 1.0]}).count("polyline") == 1
    assert line_chart("nothing", {"a": [1.0], "b": []}) == ""


def test_every_model_is_drawn_on_one_axis_with_zero_on_it() -> None:
    noise, good = Skill(0.0023, -0.004), Skill(0.2, 0.15, baseline=0.17)
    axis = make_axis([noise, good])
    assert axis is not None
    assert axis.low <= -0.004
    assert axis.high >= 0.25
    assert not axis.clipped
    assert ">0</text>" in axis.head()
    dots = [float(axis.row(each).split('cx="')[1].split('"')[0]) for each in (noise, good)]
    zero = float(axis.row(noise).split('x1="')[1].split('"')[0])
    assert 0 < dots[0] - zero < 0.02 * (dots[1] - zero)  # noise looks like noise
    assert 'class="tick"' in axis.row(good)


def test_a_wild_skill_leaves_the_axis_to_the_others_and_is_marked() -> None:
    usual = [Skill(0.01 * number, 0.01 * number - 0.005) for number in range(30)]
    axis = make_axis([*usual, Skill(-400.0, -500.0)])
    assert axis is not None
    assert axis.low > -1
    assert axis.clipped
    assert 'class="beyond"' in axis.row(Skill(-400.0, -500.0))


def test_an_axis_needs_a_model_and_bears_equal_ones() -> None:
    assert make_axis([]) is None
    flat = make_axis([Skill(0.0)])
    assert flat is not None
    assert flat.low <= 0 < flat.high


@pytest.mark.parametrize("name", ["<b>", 'a"b'])
def test_names_in_pictures_are_escaped(name: str) -> None:
    assert name not in line_chart(name, {"a": [1.0, 2.0]})


def test_a_comparison_of_presets_has_its_tables_on_the_page() -> None:
    store = MemoryStore()
    commit(store, "c", "BTCUSDT")
    record = RunRecord.of(store, build_plan("c", ["BTCUSDT"], ["fast"], {"as_of": NOW}, backend="local", now=NOW))
    store.put(keys.comparison("c", "json"), BOTH.to_bytes())
    page = store.get(write_report(store, record)).decode()
    Balance().feed(page)
    for words in ("Presets compared", "speed-up over legacy", '<td data-label="fast">4.00 ×</td>', "peak memory, MB",
                  "RMSE, % of legacy&#39;s (lower is better)", "below 100% is better"):  # fmt: skip
        assert words in page
    store.put(keys.comparison("c", "json"), b"{")
    assert b"Presets compared" not in store.get(write_report(store, record))
