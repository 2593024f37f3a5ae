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
from launcher.report.charts import line_chart, skill_bar
from launcher.report.page import render_report, write_report
from tests.atb.registry.candidates import NOISE, NOTHING, NOW, commit


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
    for words in ("BTCUSDT-fast", "ETHUSDT-fast", "XUSDT-fast", "+0.2000", "not passed", "bad-data", "validation 0.95"):
        assert words in page
    balance = Balance()
    balance.feed(page)
    assert balance.open == []
    assert all(link.startswith("#") for link in balance.links)


def test_what_came_from_outside_is_escaped() -> None:
    page = render_report(Manifest(run="r1", created=NOW, jobs=(FAILED,)), {}, {})
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_result_or_history_that_is_gone_leaves_the_row_without_details() -> None:
    store = MemoryStore()
    commit(store, "r1")
    put_history(store, commit(store, "r1", "ETHUSDT"), b"{")
    record = record_of(store, "BTCUSDT", "ETHUSDT")
    store.delete("runs/r1/jobs/BTCUSDT-fast/result.json")
    page = store.get(write_report(store, record)).decode()
    assert "<td>BTCUSDT-fast</td>" in page
    assert '<details id="BTCUSDT-fast">' not in page
    assert '<details id="ETHUSDT-fast">' in page


def test_the_same_run_gives_the_same_page() -> None:
    store = MemoryStore()
    commit(store, "r1")
    record = record_of(store, "BTCUSDT")
    assert store.get(write_report(store, record)) == store.get(write_report(store, record))


def test_pictures_take_any_numbers() -> None:
    assert line_chart("flat", {"a": [1.0, 1.0]}).count("polyline") == 1
    assert line_chart("nothing", {"a": [1.0], "b": []}) == ""
    assert "left:0.0%;width:50.0%" in skill_bar(-5.0, 0.1)
    assert "width:25.0%" in skill_bar(0.05, 0.1)
    assert "width:0.0%" in skill_bar(0.0, 0.0)


@pytest.mark.parametrize("name", ["<b>", 'a"b'])
def test_names_in_pictures_are_escaped(name: str) -> None:
    assert name not in line_chart(name, {"a": [1.0, 2.0]})
