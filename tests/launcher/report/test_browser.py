"""The pages as people meet them: in a real browser, which sorts, searches, jumps and asks nobody for anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from atb.contract import keys
from atb.documents.attempt import Verdict
from atb.storage import open_store
from launcher.plan.build import build_plan, commit_plan
from launcher.records.manifest import collect
from launcher.records.run_record import RunRecord
from launcher.report.index import write_index
from launcher.report.page import write_report
from tests.atb.test_comparison import BOTH
from tools.screenshots.browser import find_chromium, open_browser
from tools.screenshots.made_up import FixedClock, Shape, make_run, symbols

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytest.importorskip("playwright", reason="the extra browser is not installed")
CHROMIUM = find_chromium()
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")]

NOW = datetime(2026, 1, 31, 6, tzinfo=UTC)
RUN = "nightly-20260131-060000"
HOSTILE = '<img src=x onerror="window.hit=1">\'"><script>window.hit=1</script>{{7*7}}'
AXE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser(CHROMIUM or "") as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of a run of 60 jobs, a tenth of them failed, the store's, and one of a run with hostile texts."""
    folder = tmp_path_factory.mktemp("store")
    store = open_store(str(folder))
    for night in (2, 1, 0):
        at = NOW - timedelta(days=night)
        count = 60 if night == 0 else 4
        make_run(store, f"nightly-{at:%Y%m%d-%H%M%S}", symbols(count), at, night, Shape(failing=0.1 * (night == 0)))
    index = write_index(store, clock=FixedClock(NOW + timedelta(hours=1)))
    plan = build_plan("hostile", ["AUSDT"], ["fast"], {"as_of": NOW}, backend="local", now=NOW)
    commit_plan(plan, store)
    verdict = Verdict(job="AUSDT-fast", state="failed", category="bad-data", reason=HOSTILE, recorded=NOW)
    store.put(keys.verdict("hostile", "AUSDT-fast"), verdict.to_bytes())
    store.put(keys.comparison("hostile", "json"), BOTH.model_copy(update={"run": "hostile"}).to_bytes())
    record = RunRecord.load(store, "hostile")
    collect(store, record)
    return {
        "run": folder / keys.report(RUN),
        "index": folder / index,
        "hostile": folder / write_report(store, record),
    }


@contextmanager
def visit(browser: Browser, path: Path, width: int = 1280, scheme: Any = "light", hash: str = "") -> Iterator[Page]:
    """A page that must not complain, nor ask for anything but itself."""
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    messages: list[str] = []
    requested: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requested.append(request.url))
    page.goto(path.as_uri() + hash)
    try:
        yield page
        assert messages == []
        assert {url.partition("#")[0] for url in requested} == {path.as_uri()}
    finally:
        page.close()


def column(page: Page, number: int, table: int = 0) -> list[str]:
    """The texts of a column, as the rows stand now."""
    cells = page.locator("table.sortable").nth(table).locator(f"tbody tr > :nth-child({number})")
    return [text.strip() for text in cells.all_inner_texts()]


def test_a_table_is_sorted_by_the_column_that_is_selected_with_the_keyboard_too(
    browser: Browser, pages: dict[str, Path]
) -> None:
    with visit(browser, pages["run"]) as page:
        head = page.locator("table.sortable thead th").nth(3)
        head.get_by_role("button").click()
        rising = [float(text) for text in column(page, 4) if text]
        assert rising == sorted(rising)
        assert head.get_attribute("aria-sort") == "ascending"
        head.get_by_role("button").focus()
        page.keyboard.press("Enter")
        assert [float(text) for text in column(page, 4) if text] == sorted(rising, reverse=True)
        assert head.get_attribute("aria-sort") == "descending"
        models = page.locator("details.model").evaluate_all("all => all.map(each => each.id)")
        shown = page.locator("tbody tr[data-job]").evaluate_all("all => all.map(each => each.dataset.job)")
        assert models == [job for job in shown if job in set(models)], "the models follow the table"


def test_every_table_of_the_store_is_sorted_by_itself(browser: Browser, pages: dict[str, Path]) -> None:
    with visit(browser, pages["index"]) as page:
        before = column(page, 1, 2)
        page.locator("#champions ~ .scroll th button").first.click()
        page.locator("#runs ~ .scroll").get_by_role("button", name="planned, UTC").click()
        assert column(page, 1, 2) == before[::-1]
        assert column(page, 1, 1) == sorted(column(page, 1, 1))


def test_what_is_searched_for_leaves_only_its_rows_and_models(browser: Browser, pages: dict[str, Path]) -> None:
    with visit(browser, pages["run"]) as page:
        page.get_by_label("Find a symbol").fill("ethusdt")
        assert page.locator("tbody tr[data-job]:visible").count() == 1
        assert page.locator("details.model:visible").count() <= 1
        assert page.locator("#found").inner_text() == "1 of 60"
        page.get_by_label("Find a symbol").fill("")
        assert page.locator("tbody tr[data-job]:visible").count() == 60
        assert page.locator("details.model:visible").count() == 20
        page.get_by_role("button", name="Show all").click()
        assert page.locator("details.model:visible").count() > 20


def test_a_phone_gets_the_first_rows_of_a_long_table_and_the_others_when_asked(
    browser: Browser, pages: dict[str, Path]
) -> None:
    with visit(browser, pages["run"], 390) as page:
        rows = page.locator("tbody tr[data-job]:visible")
        assert rows.count() == 25
        page.get_by_label("Find a symbol").fill("usdt")
        assert rows.count() == 60, "a search looks at all rows"
        page.get_by_label("Find a symbol").fill("")
        page.get_by_role("button", name="Show all 60 rows").click()
        assert rows.count() == 60
        assert page.get_by_role("button", name="Show all 60 rows").count() == 0
    with visit(browser, pages["run"]) as page:
        assert page.locator("tbody tr[data-job]:visible").count() == 60


def test_a_link_to_a_job_opens_its_model_or_shows_its_row(browser: Browser, pages: dict[str, Path]) -> None:
    with visit(browser, pages["run"]) as page:
        model = page.locator("details.model").last.get_attribute("id")
        failed = page.locator("tr[id]").first.get_attribute("id")
    with visit(browser, pages["run"], hash=f"#{model}") as page:
        assert page.locator(f"details[id='{model}']").get_attribute("open") is not None
        assert page.locator(f"details[id='{model}'] svg").first.is_visible()
    with visit(browser, pages["run"], hash=f"#{failed}") as page:
        assert page.locator(f"tr[id='{failed}']").is_visible()


def test_every_link_of_a_run_s_page_leads_to_something(browser: Browser, pages: dict[str, Path]) -> None:
    with visit(browser, pages["run"]) as page:
        links = page.locator("a[href]").evaluate_all("all => all.map(each => each.getAttribute('href'))")
        ids = set(page.locator("[id]").evaluate_all("all => all.map(each => each.id)"))
    assert len(links) > 100
    wrong = [
        link
        for link in links
        if (link[1:] not in ids if link.startswith("#") else not (pages["run"].parent / link).is_file())
    ]
    assert wrong == []


def test_words_from_outside_do_nothing(browser: Browser, pages: dict[str, Path]) -> None:
    with visit(browser, pages["hostile"]) as page:
        assert page.evaluate("window.hit") is None
        assert page.locator("img").count() == 0
        assert page.get_by_text("{{7*7}}").count() > 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["run", "index", "hostile"])
def test_a_page_is_accessible_and_fits(
    browser: Browser, pages: dict[str, Path], name: str, width: int, scheme: str, tmp_path: Path
) -> None:
    with visit(browser, pages[name], width, scheme) as page:
        page.locator("details.model").first.evaluate_all("all => all.forEach(each => each.open = true)")
        room = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert room[0] <= room[1], "it scrolls sideways"
        page.evaluate(f"() => {{ {AXE} }}")
        found = page.evaluate("() => axe.run()")
        page.screenshot(path=tmp_path / "page.png", full_page=True)
    violations = [(each["id"], each["help"], each["nodes"][0]["html"][:200]) for each in found["violations"]]
    assert violations == [], json.dumps(violations, indent=1)


def test_what_is_hidden_by_a_search_is_printed_without_it(browser: Browser, pages: dict[str, Path]) -> None:
    with visit(browser, pages["run"]) as page:
        page.emulate_media(media="print")
        assert not page.locator("#find").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
