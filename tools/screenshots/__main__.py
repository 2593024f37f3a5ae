"""Pictures of the pages: ``python -m tools.screenshots docs/pages`` photographs runs that are made up."""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from PIL import Image

from atb.contract import keys
from atb.storage import open_store
from launcher.report.index import write_index
from tools.screenshots.browser import find_chromium, open_browser
from tools.screenshots.made_up import FixedClock, Shape, make_run, symbols

if TYPE_CHECKING:
    from playwright.sync_api import Browser

RUN = "20260131-0600"
NOW = datetime(2026, 1, 31, 6, tzinfo=UTC)
COLOURS = 128
TALLEST = 1_200
"""Pixels of a page that a picture shows."""


@dataclass(frozen=True)
class Shot:
    """A picture: of which object of which store, how wide, in which colours, and from which element on; ``open``: a
    model that is unfolded."""

    name: str
    store: str
    key: str
    width: int = 1280
    scheme: Literal["light", "dark"] = "light"
    top: str = "body"
    open: str = ""


def make_stores() -> Iterator[Shot]:
    """Stores in the working directory, with runs of 2, 50 and 500 jobs and of twenty nights; the pictures of them."""
    page = keys.report(RUN)
    for count in (2, 50, 500):
        store = f"store-{count}"
        shape = Shape(failing=0.5 if count == 2 else 0.1)
        make_run(open_store(store), RUN, symbols(count), NOW, 7, shape)
        yield Shot(f"run-{count}", store, page)
    yield Shot("run-500-jobs", "store-500", page, top="#jobs")
    yield Shot("run-50-jobs", "store-50", page, scheme="dark", top="#jobs")
    yield Shot("run-50-narrow", "store-50", page, width=390, top="#jobs")
    yield Shot("models", "store-50", page, top="#models", open="SOLUSDT-balanced")
    store = "store"
    for night in range(20):
        at = NOW - timedelta(days=19 - night)
        shape = Shape(failing=0.1 * (night % 3 == 1))
        make_run(open_store(store), f"nightly-{at:%Y%m%d-%H%M%S}", symbols(12), at, night, shape)
    write_index(open_store(store), clock=FixedClock(NOW + timedelta(hours=1)))
    yield Shot("index", store, keys.INDEX)


def take(browser: Browser, shot: Shot) -> Image.Image:
    """The picture."""
    page = browser.new_page(viewport={"width": shot.width, "height": 800}, color_scheme=shot.scheme)
    page.goto(Path(shot.store, shot.key).resolve().as_uri())
    if shot.open:
        page.locator(f"details[id='{shot.open}']").evaluate("model => { model.hidden = false; model.open = true }")
        page.locator("#models ~ details:not([open])").evaluate_all("all => all.slice(9).forEach(each => each.remove())")
    box = page.locator(shot.top).bounding_box()
    top = box["y"] if box and shot.top != "body" else 0
    height = min(TALLEST, page.evaluate("document.documentElement.scrollHeight") - top)
    clip = {"x": 0, "y": top, "width": shot.width, "height": height}
    image = Image.open(io.BytesIO(page.screenshot(full_page=True, clip=clip)))
    page.close()
    return image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)


def main() -> None:
    """Make the pictures."""
    out, chromium = Path(sys.argv[1]).resolve(), find_chromium()
    if chromium is None:
        sys.exit("error: there is no chromium on the PATH; on Debian: apt-get install chromium")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), open_browser(chromium) as browser:
        for shot in make_stores():
            take(browser, shot).save(out / f"{shot.name}.png", optimize=True)
            print(f"{shot.name}: page of {Path(shot.store, shot.key).stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
