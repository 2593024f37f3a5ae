from __future__ import annotations

from pathlib import Path

from tests.atb.test_comparison import BOTH
from trainer.bundle.comparison import draw_comparison


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "comparison.png"
    draw_comparison(BOTH).savefig(path)
    assert path.stat().st_size > 5_000
