"""The short form of tests/storm.py."""

from __future__ import annotations

from pathlib import Path

from atb.storage import MemoryStore, open_store
from tests.processes import Atb
from tests.s3_proxy import FaultProxy
from tests.storm import RUN, assert_as_if_alone, make_spec, storm
from tests.trainer.pipeline.market import train


def test_a_training_among_kills_and_lost_answers_ends_as_if_alone(
    atb: Atb, s3_endpoint: str, s3_url: str, tmp_path: Path
) -> None:
    spec = make_spec(tmp_path)
    with FaultProxy(s3_endpoint) as proxy:
        store = open_store(s3_url, proxy.url)
        weather = storm(atb.forks, store, proxy, spec, seed=7, kills=2, stall_seconds=0.5)
    assert weather.faults
    assert weather.ends[-1] == "code 0"
    assert_as_if_alone(open_store(s3_url, s3_endpoint), spec, train(MemoryStore(), RUN, spec))
