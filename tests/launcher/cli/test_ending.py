"""What a resumed run keeps of how it was to end."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from atb.documents.plan import Plan
from atb.errors import SpecError
from launcher.cli.ending import KEPT, keep_ending, read_ending
from launcher.plan.build import build_plan
from launcher.plan.options import LaunchOptions

STRICT: dict[str, Any] = {"promote": "auto", "accept_first": True, "fdr": 0.01, "demotion": "off"}


def planned(options: dict[str, Any]) -> Plan:
    training = {"source": "sample"}
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return build_plan("r1", ["BTCUSDT"], ["fast"], training, backend="local", now=now, launcher_options=options)


def ends(options: LaunchOptions) -> dict[str, Any]:
    return {name: getattr(options, name) for name in KEPT}


def test_a_resumed_run_ends_as_it_was_launched_to_where_the_command_line_does_not_say_otherwise() -> None:
    assert ends(keep_ending(LaunchOptions(resume="r1"), planned(STRICT), ())) == STRICT
    chosen = LaunchOptions(resume="r1", fdr=0.2, promote="manual")
    assert ends(keep_ending(chosen, planned(STRICT), ("fdr", "promote"))) == {**STRICT, "fdr": 0.2, "promote": "manual"}


def test_attaching_keeps_what_resuming_keeps_and_collecting_the_bound_alone() -> None:
    flags = {"promote": None, "demotion": "warn", "output": "json"}
    attached, collected = (
        read_ending(flags, planned(STRICT), {"demotion"}),
        read_ending(flags, planned(STRICT), {"demotion"}, kept=("fdr",)),
    )
    assert (attached.promote, attached.fdr, attached.demotion, attached.output) == ("auto", 0.01, "warn", "json")
    assert (collected.promote, collected.accept_first, collected.fdr) == ("manual", False, 0.01)


def test_a_plan_of_an_earlier_version_says_only_whether_to_promote() -> None:
    kept = ends(keep_ending(LaunchOptions(demotion="auto"), planned({"promote": "auto"}), ()))
    assert kept == {"promote": "auto", "accept_first": False, "fdr": LaunchOptions().fdr, "demotion": "auto"}


@pytest.mark.parametrize("options", [{"fdr": "much"}, {"fdr": 7}, {"promote": []}, {"demotion": "later"}])
def test_a_plan_that_says_nonsense_of_the_end_is_refused_in_one_line(options: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=r"--(fdr|promote|demotion) "):
        keep_ending(LaunchOptions(), planned(options), ())
