from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from trainer.log import start_logging

LOGGERS = tuple(map(logging.getLogger, ("atb", "trainer", "py.warnings")))


@pytest.fixture
def loggers_as_before() -> Iterator[None]:
    before = [(each.handlers, each.propagate, each.level) for each in LOGGERS]
    yield
    for each, (handlers, propagate, level) in zip(LOGGERS, before, strict=True):
        each.handlers, each.propagate, each.level = handlers, propagate, level
    logging.captureWarnings(False)


@pytest.mark.usefixtures("loggers_as_before")
@pytest.mark.parametrize("style", ["text", "json"])
def test_no_line_of_a_log_holds_a_password(capsys: pytest.CaptureFixture[str], style: str) -> None:
    tail = start_logging("json" if style == "json" else "text", "BTCUSDT", "fast")
    logging.getLogger("trainer.any").warning("%s did not answer", "https://me:hidden@h/x?token=hidden")
    assert "hidden" not in capsys.readouterr().err + tail.to_bytes().decode()
