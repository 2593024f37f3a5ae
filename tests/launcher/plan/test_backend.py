from __future__ import annotations

import pytest

from launcher.plan.backend import run_exit_code
from launcher.plan.backends import BUILT_IN, find_backend
from launcher.worker.backend import LocalBackend


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
