"""Pictures of the pages: ``python -m tools.pages docs/pages`` makes runs up and photographs what they look like."""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from PIL import Image

from atb.contract import keys
from atb.storage import open_store
from launcher.report.index import write_index
from tools.pages.browser import find_chromium, open_browser
from tools.pages.made_up import FixedClock, Shape, make_run, symbols

NOW = datetime(2026, 1, 31, 6, tzinfo=UTC)
COLOURS = 128
TALLEST = 1_600
"""Pixels of a page that a picture shows."""


@dataclass(frozen=True)
class Shot:
    """A picture: of which object of which store, how wide, in which colours."""

    name: str
    store: Path
    key: str
    width: int
    scheme: Literal["light", "dark"] = "light"


def make_stores(folder: Path) -> Iterator[Shot]:
    """Stores with runs of 2, 50 and 500 jobs and one of twenty nights, and the pictures to take of them."""
    for count in (2, 50, 500):
        place = folder / str(count)
        shape = Shape(failing=0.5 if count == 2 else 0.1)
        make_run(open_store(str(place)), "20260131-0600", symbols(count), NOW, 7, shape)
        yield Shot(f"run-{count}", place, keys.report("20260131-0600"), 1280)
        if count == 50:
            yield Shot("run-50-dark", place, keys.report("20260131-0600"), 1280, "dark")
            yield Shot("run-50-narrow", place, keys.report("20260131-0600"), 390)
    nights = folder / "nights"
    store = open_store(str(nights))
    for night in range(20):
        at = NOW - timedelta(days=19 - night)
        shape = Shape(failing=0.1 * (night % 3 == 1))
        make_run(store, f"nightly-{at:%Y%m%d-%H%M%S}", symbols(12), at, night, shape)
    write_index(store, clock=FixedClock(NOW + timedelta(hours=1)))
    yield Shot("index", nights, keys.INDEX, 1280)
    yield Shot("index-narrow", nights, keys.INDEX, 390, "dark")


def main() -> None:
    """Make the pictures."""
    out, chromium = Path(sys.argv[1]), find_chromium()
    if chromium is None:
        sys.exit("error: there is no chromium on the PATH; on Debian: apt-get install chromium")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, open_browser(chromium) as browser:
        for shot in make_stores(Path(folder)):
            page = browser.new_page(viewport={"width": shot.width, "height": 800}, color_scheme=shot.scheme)
            page.goto((shot.store / shot.key).as_uri())
            height = min(TALLEST, page.evaluate("document.documentElement.scrollHeight"))
            page.set_viewport_size({"width": shot.width, "height": height})
            image = Image.open(io.BytesIO(page.screenshot()))
            image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(
                out / f"{shot.name}.png", optimize=True
            )
            size = (shot.store / shot.key).stat().st_size
            print(f"{shot.name}: page of {size / 1e6:.2f} MB")
            page.close()


if __name__ == "__main__":
    main()
