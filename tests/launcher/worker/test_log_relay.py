from __future__ import annotations

import io
import json
from pathlib import Path

from launcher.worker.log_relay import LogRelay
from tests.launcher.worker.test_backend import plan_of


def test_lines_of_trainings_are_events_that_name_their_job(tmp_path: Path) -> None:
    out = io.StringIO()
    relay = LogRelay(tmp_path, plan_of("BTCUSDT", "ETH/USDT"), out)
    event = '{"time": "2026-01-31T06:00:00.000Z", "level": "info", "symbol": "BTCUSDT", "message": "epoch 1"}'
    (tmp_path / "BTCUSDT-fast.log").write_text(f"{event}\nterminate called")
    (tmp_path / "stranger.log").write_text("not ours\n")
    relay.show([], "loading TensorFlow")
    relay.show([], "loading TensorFlow")
    with (tmp_path / "BTCUSDT-fast.log").open("a") as file:
        file.write(" after bad_alloc\n\n{half")
    relay.show([], "")
    relay.drain()
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(line["symbol"], line["message"]) for line in lines] == [
        ("BTCUSDT", "epoch 1"),
        ("", "loading TensorFlow"),
        ("BTCUSDT", "terminate called after bad_alloc"),
        ("BTCUSDT", "{half"),
    ]
