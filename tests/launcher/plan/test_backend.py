from __future__ import annotations

from collections.abc import Set
from datetime import UTC, datetime
from typing import Any

import pytest

from atb.documents.plan import Plan
from atb.errors import SpecError
from launcher.plan.backend import Setup, run_exit_code
from launcher.plan.backends import BUILT_IN, find_backend
from launcher.plan.build import build_plan
from launcher.plan.options import LaunchOptions
from launcher.worker.backend import LocalBackend, open_backend

NOW = datetime(2026, 1, 31, 6, tzinfo=UTC)


def test_a_run_ends_with_the_code_that_its_failures_share() -> None:
    codes = {"bad-data": 10, "oom": 71}
    assert run_exit_code([], codes) == 0
    assert run_exit_code(["bad-data", "bad-data"], codes) == 10
    assert run_exit_code(["bad-data", "oom"], codes) == 1
    assert run_exit_code([""], codes) == 1
    assert run_exit_code(["bad-data"], LocalBackend().exit_codes) == 10


@pytest.mark.parametrize("name", BUILT_IN)
def test_each_backend_is_found_by_the_name_it_has(name: str) -> None:
    module = find_backend(name)
    assert callable(module.detect)
    assert callable(module.open_backend)


def plan_with(options: dict[str, Any]) -> Plan:
    plan = build_plan("r1", ["BTCUSDT"], ["fast"], {"as_of": NOW}, backend="local", now=NOW)
    return plan.model_copy(update={"options": options})


@pytest.mark.parametrize(
    ("kept", "launched", "given", "parallel"),
    [
        (3, None, set(), 3),
        (3, 5, set(), 3),  # 5 from atb.toml or the environment
        (3, 5, {"max_parallel"}, 5),
        (None, 5, set(), 5),
        (None, None, set(), None),
    ],
)
def test_a_resume_on_this_machine_keeps_how_many_trained_at_a_time(
    kept: int | None, launched: int | None, given: Set[str], parallel: int | None
) -> None:
    plan = plan_with({} if kept is None else dict(LocalBackend(kept).options))
    backend = open_backend(Setup(LaunchOptions(max_parallel=launched), given=given, plan=plan))
    assert backend.options == LocalBackend(parallel).options


@pytest.mark.parametrize("name", ["cpu", "gpus", "workers", "cluster_options", "namespace"])
def test_a_resume_on_this_machine_refuses_a_clusters_options_as_a_launch_does(name: str) -> None:
    for launch, plan in ((LaunchOptions(), None), (LaunchOptions(resume="r1"), plan_with({}))):
        with pytest.raises(SpecError, match="is for the kubernetes backend"):
            open_backend(Setup(launch, {name: "3"}, {name}, plan=plan))
    open_backend(Setup(LaunchOptions(), {name: "3"}, {name}, plan=plan_with({})))  # as status does


@pytest.mark.parametrize("broken", [0, -1, "3", True, 1.5, [3], {}])
def test_a_plan_whose_max_parallel_is_no_number_says_nothing(broken: Any) -> None:
    assert open_backend(Setup(plan=plan_with({"max_parallel": broken}))).options == {}
