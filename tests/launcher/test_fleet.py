"""Whole fan-outs. All of these hold on the fake and on a real cluster: their Pods run a script in `sh`."""

from __future__ import annotations

import pytest

from tests.launcher.world import World, commit, make_options, make_plan, running
from trainer.contract import keys
from trainer.contract.manifest import Verdict

pytestmark = pytest.mark.cluster


def test_a_run_ends_with_every_job_done_once_their_results_are_there(world: World) -> None:
    plan = make_plan("BTCUSDT", "ETHUSDT")
    for planned in plan.jobs:
        commit(world.store, plan.run, planned)
    found = world.fleet(plan, build=running("echo hello; exit 0")).run("create")
    assert {job: one.state for job, one in found.items()} == {"BTCUSDT-fast": "done", "ETHUSDT-fast": "done"}


@pytest.mark.parametrize(("code", "category"), [(2, "bad-spec"), (10, "bad-data"), (20, "diverged"), (70, "bug")])
def test_a_permanent_exit_code_ends_a_job_at_its_first_attempt(world: World, code: int, category: str) -> None:
    plan = make_plan("BTCUSDT")
    found = world.fleet(plan, build=running(f"echo 'error: it went wrong' >&2; exit {code}")).run("create")
    assert found["BTCUSDT-fast"].category == category
    assert found["BTCUSDT-fast"].attempts == 1
    verdict = Verdict.from_bytes(world.store.get(keys.verdict(plan.run, "BTCUSDT-fast")), "verdict")
    assert verdict.category == category


def test_a_pod_that_ends_well_without_a_result_is_a_failure(world: World) -> None:
    found = world.fleet(make_plan("BTCUSDT"), build=running("exit 0")).run("create")
    assert (found["BTCUSDT-fast"].state, found["BTCUSDT-fast"].category) == ("failed", "no-result")


def test_a_killed_container_is_tried_again_with_half_as_much_more_memory(world: World) -> None:
    plan = make_plan("BTCUSDT")
    seen: list[str] = []

    def script(planned: object, attempt: object) -> str:
        seen.append(attempt.memory)  # type: ignore[attr-defined]
        return "exit 137"

    options = make_options(oom_retries=1, memory="64Mi", max_memory="100Mi")
    found = world.fleet(plan, options, build=running(script)).run("create")
    assert seen == ["64Mi", "96Mi"]
    assert found["BTCUSDT-fast"].category == "oom"
