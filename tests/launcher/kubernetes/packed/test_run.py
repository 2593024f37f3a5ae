"""What a whole worker has too little memory for gets a Job of its own with more."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from atb.contract import keys
from atb.documents.attempt import Claim, ExitReport
from atb.errors import SpecError
from atb.storage import DirectoryStore
from launcher.kubernetes.packed.run import count_workers, run_packed
from launcher.records.memory_needs import remember_use
from launcher.report.live_table import Row
from tests.apiserver.kubelet import Outcome
from tests.launcher.fixtures import ClusterFixture, commit, make_options, make_plan
from tests.launcher.kubernetes.packed.test_controller import pods_that_work, states

THEN = datetime(2026, 11, 1, 12, tzinfo=UTC)


def leave_out_of_memory(store: DirectoryStore, run: str, job: str) -> None:
    """Two attempts that ran out of memory, the second with a worker to itself."""
    for number in (1, 2):
        claim = Claim(attempt=number, host="gone", process=1, started=THEN)
        report = ExitReport(
            attempt=number,
            code=137,
            category="oom",
            message="it used 60 MiB when 61 of 64 MiB were used",
            stage="",
            started=THEN,
            finished=THEN,
        )
        store.put(keys.attempt(run, job, number, "claim.json"), claim.to_bytes())
        store.put(keys.attempt(run, job, number, "exit.json"), report.to_bytes())


def test_a_job_that_outgrows_a_whole_worker_is_done_by_a_job_with_more_memory(
    fake: ClusterFixture, tmp_path: Path
) -> None:
    store, plan = DirectoryStore(tmp_path / "store"), make_plan("QUICK1", "GREEDY")
    store.put(keys.plan(plan.run), plan.to_bytes())
    leave_out_of_memory(store, plan.run, "GREEDY-fast")
    remember_use(store, plan.run, plan.jobs[1], 60 << 20, 0.0)
    assert fake.kubelet is not None
    assert fake.server is not None
    given: list[str] = []

    def train(pod: dict[str, Any]) -> Outcome:
        given.append(pod["spec"]["containers"][0]["resources"]["limits"]["memory"])
        commit(store, plan.run, plan.jobs[1])
        return Outcome(code=0)

    fake.kubelet.behave = train
    shown: list[list[Row]] = []
    options = make_options(workers=1, slots=2)
    stopped = run_packed(
        fake.cluster,
        store,
        plan,
        options,
        lambda rows, note: shown.append(list(rows)),
        lambda: None,
        mode="create",
        wait=True,
        build=pods_that_work(store),
    )
    assert stopped is None
    assert given == ["90Mi"], "half as much more than it held"
    assert {symbol: found[0] for symbol, found in states(store, plan).items()} == {"QUICK1": "done", "GREEDY": "done"}
    assert [row.symbol for row in shown[-1]] == ["QUICK1", "GREEDY"]
    assert len(fake.server.state.items("jobs", "lab")) == 2


def test_auto_asks_the_nodes_and_says_what_to_do_where_it_may_not(fake: ClusterFixture) -> None:
    assert fake.server is not None
    options = make_options(workers="auto", slots=1, cpu="8", memory="8Gi", max_memory="8Gi", gpus=1)
    assert count_workers(fake.cluster, options) == 4, "two nodes of 16 CPUs"
    fake.server.denied.add(("list", "nodes"))
    with pytest.raises(SpecError, match="write --workers N"):
        count_workers(fake.cluster, options)
