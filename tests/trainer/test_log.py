from __future__ import annotations

import logging

import pytest

from trainer.log import start_logging


@pytest.mark.parametrize("style", ["text", "json"])
def test_no_line_of_a_log_holds_a_password(capsys: pytest.CaptureFixture[str], style: str) -> None:
    tail = start_logging("json" if style == "json" else "text", "BTCUSDT", "fast")
    logging.getLogger("trainer.any").warning("%s did not answer", "https://me:hidden@h/x?token=hidden")
    assert "hidden" not in capsys.readouterr().err + tail.to_bytes().decode()
