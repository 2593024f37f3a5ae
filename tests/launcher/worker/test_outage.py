"""A run on this machine while its store goes away and comes back, or stays away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import pytest

from atb.documents.plan import Plan
from atb.errors import StoreError
from atb.storage import Store, open_store
from launcher.cli.ending import Ending
from launcher.cli.run import follow
from launcher.plan.build import build_plan, commit_plan
from launcher.records.leases import Rules
from launcher.records.manifest import build_manifest
from launcher.records.run_record import RunRecord
from launcher.report.live_table import Row
from launcher.worker.backend import LocalBackend
from tests.launcher.worker.test_backend import STUB
from tests.s3_proxy import FaultProxy

NOW = datetime(2026, 1, 31, 6, tzinfo=UTC)


@pytest.fixture
def proxy(s3_endpoint: str) -> Iterator[FaultProxy]:
    with FaultProxy(s3_endpoint) as proxy:
        yield proxy


@pytest.fixture
def store(s3_url: str, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    return open_store(s3_url)


def begin(store: Store, *symbols: str) -> Plan:
    plan = build_plan("r1", symbols, ["fast"], {"as_of": NOW}, backend="local", now=NOW)
    commit_plan(plan, store)
    return plan


def test_a_plan_whose_answer_was_lost_is_ones_own(store: Store, proxy: FaultProxy) -> None:
    proxy.add("lost", "PUT", "plan.json")
    begin(store, "BTCUSDT")


def test_an_outage_in_which_trainings_end_is_waited_out_and_reported(store: Store, proxy: FaultProxy) -> None:
    plan, notes = begin(store, "BTCUSDT", "ETHUSDT"), list[str]()

    def show(rows: Sequence[Row], note: str) -> None:
        notes.append(note)
        if note == "" and not proxy.seen.count(("outage", "")):
            proxy.seen.append(("outage", ""))
            proxy.away = True
        if "did not answer" in note:
            proxy.away = False

    LocalBackend(2, server=STUB, rules=Rules(beat=0.5, pauses=(0.0,))).run(plan, store.within(0.5), show, mode="create")
    assert any("did not answer" in note for note in notes)
    assert [job.state for job in build_manifest(RunRecord.of(store, plan)).jobs] == ["done", "done"]


def test_the_way_back_is_printed_also_when_the_run_can_not_be_collected(
    store: Store, proxy: FaultProxy, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = begin(store, "BTCUSDT")
    proxy.away = True
    with pytest.raises(StoreError, match="continue with: atb-launch --resume r1 --store s3://"):
        follow(plan, store.within(0.2), LocalBackend(1, server=STUB), "create", Ending())
    assert proxy.seen
