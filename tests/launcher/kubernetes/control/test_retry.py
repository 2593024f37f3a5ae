"""What follows a failed Job: the rule of each category."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from launcher.kubernetes.control.retry import bad_nodes, describe_memory, first_attempt, next_attempt
from launcher.kubernetes.objects.job_status import JobStatus, read_job
from launcher.kubernetes.objects.jobs import build_job
from launcher.kubernetes.objects.pod import Target
from launcher.records.categories import CATEGORIES, INFRASTRUCTURE
from tests.launcher.fixtures import NOW, make_options, make_plan, make_try

OPTIONS = make_options(memory="8Gi", max_memory="32Gi", oom_retries=2, infrastructure_retries=1)
BEGAN = NOW.timestamp()


def job(**changes: Any) -> JobStatus:
    body = build_job(make_plan("BTCUSDT").jobs[0], Target("r", "s3://b"), OPTIONS, make_try())
    body["metadata"] |= {"uid": "u", "creationTimestamp": "2026-11-01T12:00:00Z"}
    return replace(read_job(body), **changes)


def test_out_of_memory_gets_half_as_much_more_and_what_is_left_of_the_deadline() -> None:
    following = next_attempt(job(), "oom", "node-a", OPTIONS, BEGAN + 1000)
    assert following is not None
    assert (following.memory, following.ordinal, following.oom, following.infrastructure) == ("12Gi", 1, 1, 0)
    assert following.deadline_seconds == OPTIONS.deadline_seconds - 1000
    assert following.first_created == NOW


def test_out_of_memory_ends_with_its_own_budget_or_at_the_limit() -> None:
    assert next_attempt(job(oom=2), "oom", "", OPTIONS, BEGAN) is None
    assert next_attempt(job(memory="32Gi"), "oom", "", OPTIONS, BEGAN) is None
    assert next_attempt(job(infrastructure=9), "oom", "", OPTIONS, BEGAN) is not None


@pytest.mark.parametrize(
    ("changes", "seconds", "message"),
    [
        ({}, 0, "it had 8Gi, the next attempt gets 12Gi"),
        ({"memory": "27Gi"}, 0, "it had 27Gi, the next attempt gets 32Gi"),
        ({"memory": "32Gi"}, 0, "it had 32Gi, and max_memory is 32Gi"),
        ({"oom": 2, "memory": "18Gi"}, 0, "it had 18Gi, and the 2 retries with more (oom_retries) are used up"),
        ({}, OPTIONS.deadline_seconds, "it had 8Gi, and its deadline leaves no time for another attempt"),
    ],
)
def test_out_of_memory_reports_this_limit_and_the_next(changes: Any, seconds: int, message: str) -> None:
    facts = job(**changes)
    assert describe_memory(facts, OPTIONS, BEGAN + seconds) == message
    following = next_attempt(facts, "oom", "node-a", OPTIONS, BEGAN + seconds)
    assert ("gets" in message) == (following is not None)
    assert following is None or following.cause == f"after oom with {facts.memory} on node-a"


@pytest.mark.parametrize("category", sorted(INFRASTRUCTURE))
def test_what_a_node_failed_is_tried_elsewhere_within_its_own_budget(category: str) -> None:
    following = next_attempt(job(), category, "node-a", OPTIONS, BEGAN)
    assert following is not None
    assert (following.avoid, following.infrastructure, following.memory) == (("node-a",), 1, "8Gi")
    assert next_attempt(job(infrastructure=1), category, "node-a", OPTIONS, BEGAN) is None


@pytest.mark.parametrize(
    "category", ["bad-spec", "bad-data", "diverged", "export-failed", "bug", "image", "gpu", "deadline"]
)
def test_what_would_end_the_same_way_is_never_tried_again(category: str) -> None:
    assert next_attempt(job(), category, "node-a", OPTIONS, BEGAN) is None


def test_nothing_is_tried_when_the_deadline_is_over() -> None:
    assert next_attempt(job(), "oom", "", OPTIONS, BEGAN + OPTIONS.deadline_seconds) is None


def test_a_first_try_begins_with_what_an_earlier_run_needed_up_to_the_limit() -> None:
    assert first_attempt(OPTIONS, BEGAN).memory == "8Gi"
    assert first_attempt(OPTIONS, BEGAN, remembered="12Gi").memory == "12Gi"
    assert first_attempt(OPTIONS, BEGAN, remembered="4Gi").memory == "8Gi"
    assert first_attempt(OPTIONS, BEGAN, remembered="64Gi").memory == "32Gi"


def test_two_symbols_speak_against_a_node_and_one_does_not() -> None:
    failures = [("a", "BTC", "node-lost"), ("a", "BTC", "no-accelerator"), ("b", "BTC", "node-lost")]
    assert bad_nodes(failures) == {}
    assert bad_nodes([*failures, ("b", "ETH", "no-accelerator")]) == {"b": {"BTC", "ETH"}}
    assert bad_nodes([("a", "BTC", "oom"), ("a", "ETH", "oom")]) == {}


def test_every_category_says_what_it_means_what_helps_and_how_it_ends() -> None:
    for name, category in CATEGORIES.items():
        assert name == category.name
        assert category.meaning
        assert category.remedy
        assert 0 < category.exit_code < 256
