"""Schedules become CronJobs that can't pile up, fall silent or run over each other."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import yaml

from atb.contract.exits import EXITS
from launcher.kubernetes.options import ClusterOptions
from tests.chart.helm import DAILY, pick, refusal, render

BY_CATEGORY = {entry.category: entry.code for entry in EXITS}
LONG_RELEASE = "a-release-name-of-fifty-three-characters-is-the-limit"


def spec_of(schedule: dict[str, Any], **values: Any) -> dict[str, Any]:
    cron_job = pick(render({"schedules": [schedule], **values}), "CronJob")
    spec: dict[str, Any] = cron_job["spec"]
    return spec


def command_of(schedule: dict[str, Any], **values: Any) -> list[str]:
    pod = spec_of(schedule, **values)["jobTemplate"]["spec"]["template"]["spec"]
    command: list[str] = pod["containers"][0]["command"]
    return command


def option(command: list[str], name: str) -> list[str]:
    return [value for flag, value in itertools.pairwise(command) if flag == name]


def test_a_run_is_never_started_beside_itself_and_ends_before_the_next() -> None:
    spec = spec_of(DAILY)
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] == 77_760 < 86_400
    assert spec["startingDeadlineSeconds"] == 600
    assert spec["timeZone"] == "Etc/UTC"


@pytest.mark.parametrize(
    ("cron", "period"),
    [
        ("*/15 * * * *", 900),
        ("0 * * * *", 3_600),
        ("@hourly", 3_600),
        ("7 */6 * * *", 6 * 3_600),
        ("0 8,20 * * *", 12 * 3_600),
        ("0 22,1 * * *", 3 * 3_600),
        ("50,5 * * * *", 15 * 60),
        ("0-20/10 3 * * *", 600),
        ("15 0 * * *", 86_400),
        ("15 0 * * 1-5", 86_400),
        ("15 0 * * SUN", 7 * 86_400),
        ("15 0 * * 0", 7 * 86_400),
        ("15 0 ? * mon", 7 * 86_400),
        ("15 0 * jan,JUL *", 86_400),
        ("15 0 * 2-11/3 FRI-SAT", 86_400),
        ("15 0 1 * *", 28 * 86_400),
        ("15 0 1 * 1", 86_400),
        ("08 09 * * *", 86_400),
        ("0 0 29 2 *", 28 * 86_400),
        ("0 0 31 4,5 *", 28 * 86_400),
        ("0 0 30 2 MON", 86_400),
    ],
)
def test_the_deadline_is_nine_tenths_of_the_shortest_gap_between_two_firings(cron: str, period: int) -> None:
    deadline = spec_of({**DAILY, "cron": cron})["jobTemplate"]["spec"]["activeDeadlineSeconds"]
    assert deadline == period * 9 // 10


def test_a_deadline_that_reaches_the_next_firing_is_refused_with_its_path() -> None:
    message = refusal({"schedules": [DAILY, {**DAILY, "name": "two", "cron": "@hourly", "deadlineSeconds": 3600}]})
    assert 'schedules[1].deadlineSeconds: 3600 is not below the period of "@hourly", which is 3600' in message


@pytest.mark.parametrize(
    "cron",
    [
        "61 * * * *", "5 24 * * *", "x * * * *", "5-1 * * * *", "*/0 * * * *", "0 0 0 * *", "0 0 32 * *", "0 0 * 13 *",
        "0 0 * 0 *", "0 0 * * 7", "0 0 * * 1-8", "0 0 * * SAT-SUN", "0 0 * * MONDAY", "0 0 L * *", "0 0 1,,2 * *",
        "0 0 5-3 * *", "0 0 * * */0", "0 0 * FEBR *", "TZ=UTC 0 0 * * *", "CRON_TZ=UTC 0 0 * * *", "@reboot", "",
        "@every 1h", "@Daily", " ", "* * * *", "0 0 * * * *", "0 0 1W * *", "0 0 * * 5#3", "0 0 * * MON-", "-1 * * * *",
        "0 0 010 * *", "1/-5 * * * *", "*,61 * * * *", "0 0 30 2 *", "0 0 31 4,6,9,NOV ?", "0 0 30-31 feb *",
        "*/99999999999999999999 * * * *",
    ],
)  # fmt: skip
def test_a_wrong_cron_field_is_refused_with_its_path(cron: str) -> None:
    message = refusal({"schedules": [{**DAILY, "cron": cron}]})
    assert "schedules[0].cron" in message or "/schedules/0/cron" in message  # the template's spelling, and the schema's


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "Berlin", "Local", "Etc/GMT+99"])
def test_what_is_no_time_zone_is_refused(zone: str) -> None:
    assert "timeZone" in refusal({"schedules": [{**DAILY, "timeZone": zone}]})


@pytest.mark.parametrize(
    "zone", ["Etc/UTC", "UTC", "Europe/London", "Asia/Kolkata", "America/Argentina/Ushuaia", "CET"]
)
def test_a_time_zone_is_taken(zone: str) -> None:
    assert spec_of({**DAILY, "timeZone": zone})["timeZone"] == zone


@pytest.mark.parametrize(("memory", "most"), [("33Gi", "32Gi"), ("36G", "32Gi"), ("4e10", "32Gi"), ("1Ti", "999Gi")])
def test_memory_above_what_it_may_grow_to_is_refused(memory: str, most: str) -> None:
    message = refusal({"schedules": [DAILY], "jobs": {"memory": memory, "maxMemory": most}})
    assert f"jobs.memory: {memory} is above jobs.maxMemory, which is {most}" in message


@pytest.mark.parametrize("name", ["memory", "scratchSize"])
def test_a_size_of_some_bytes_is_refused(name: str) -> None:
    message = refusal({"schedules": [DAILY], "jobs": {name: "500m"}})
    assert f"jobs.{name}: 500m is less than 1Mi of bytes; write 500Mi" in message


@pytest.mark.parametrize(("memory", "most"), [("32Gi", "32Gi"), ("34G", "32Gi"), ("512Mi", "1Gi"), ("1.5Gi", "1536Mi")])
def test_memory_up_to_it_is_taken(memory: str, most: str) -> None:
    spec_of(DAILY, jobs={"memory": memory, "maxMemory": most})


def test_two_schedules_of_one_name_are_refused() -> None:
    assert 'schedules[1].name: "daily"' in refusal({"schedules": [DAILY, DAILY]})


def test_the_command_says_all_that_the_schedule_says() -> None:
    schedule = {
        **DAILY,
        "presets": ["fast", "quality"],
        "promote": "auto",
        "source": "ccxt:kraken",
        "set": {"epochs": 5, "learning_rate": 0.0001, "batch_size": 65_536, "mixed_precision": True},
    }
    command = command_of(schedule, store={"url": "s3://bucket/prefix"})
    assert command[0] == "atb-launch"
    assert option(command, "--symbols") == ["BTCUSDT,ETHUSDT"]
    assert option(command, "--presets") == ["fast,quality"]
    assert option(command, "--promote") == ["auto"]
    assert option(command, "--source") == ["ccxt:kraken"]
    assert option(command, "--store") == ["s3://bucket/prefix"]
    expected = {"batch_size=65536", "epochs=5", "learning_rate=0.0001", "mixed_precision=true"}
    assert set(option(command, "--set")) == expected


def test_a_schedule_replaces_defaults_also_with_nothing_and_false() -> None:
    defaults = {"suspend": True, "retries": 5, "set": {"epochs": 9}, "timeZone": "Europe/Berlin"}
    same = spec_of(DAILY, scheduleDefaults=defaults)
    assert (same["suspend"], same["timeZone"]) == (True, "Europe/Berlin")
    assert same["jobTemplate"]["spec"]["backoffLimit"] == 5
    own = {**DAILY, "suspend": False, "retries": 0, "set": {}}
    other = spec_of(own, scheduleDefaults=defaults)
    assert (other["suspend"], other["jobTemplate"]["spec"]["backoffLimit"]) == (False, 0)
    assert option(command_of(own, scheduleDefaults=defaults), "--set") == []


def test_names_fit_and_differ_for_thirty_long_schedules_of_a_long_release() -> None:
    assert len(LONG_RELEASE) == 53
    schedules = [{**DAILY, "name": f"a-schedule-with-quite-a-long-name-indeed-{n}"} for n in range(30)]
    objects = render({"schedules": schedules, "launcher": {"clusterRole": True}}, release=LONG_RELEASE)
    names = [thing["metadata"]["name"] for thing in objects if thing["kind"] == "CronJob"]
    assert len(set(names)) == 30
    assert max(map(len, names)) <= 52
    assert all(len(thing["metadata"]["name"]) <= 63 for thing in objects)
    for thing in objects:
        assert all(len(value) <= 63 for value in thing["metadata"]["labels"].values())


def test_the_launcher_learns_which_job_it_is_and_the_run_is_named_by_the_cron_job() -> None:
    pod = spec_of(DAILY)["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    fields = {entry["name"]: entry.get("valueFrom") for entry in pod["env"]}
    assert fields["ATB_JOB_NAME"] == {"fieldRef": {"fieldPath": "metadata.labels['batch.kubernetes.io/job-name']"}}
    assert option(pod["command"], "--schedule") == ["rel-atb-daily"]


def test_a_disrupted_launcher_costs_no_retry_and_a_final_answer_is_final() -> None:
    job = spec_of(DAILY)["jobTemplate"]["spec"]
    ignore, fail = job["podFailurePolicy"]["rules"]
    assert ignore == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert (fail["action"], fail["onExitCodes"]["operator"]) == ("FailJob", "NotIn")
    transient = {entry.code for entry in EXITS if not entry.permanent} - {BY_CATEGORY["data-not-ready"]}
    assert set(fail["onExitCodes"]["values"]) == transient | {137}
    assert job["template"]["spec"]["restartPolicy"] == "Never"
    assert job["podReplacementPolicy"] == "Failed"


def options_of(schedule: dict[str, Any], **values: Any) -> ClusterOptions:
    """The options of the Jobs that a schedule's launcher reads."""
    command = command_of(schedule, **values)
    (file,) = option(command, "--cluster-options")
    data = pick(render({"schedules": [schedule], **values}), "ConfigMap")["data"]
    return ClusterOptions.model_validate(yaml.safe_load(data[file.removeprefix("/etc/atb/")]))


def test_a_schedule_has_options_of_its_jobs_of_its_own_over_those_of_all() -> None:
    jobs = {"memory": "4Gi", "nodeSelector": {"pool": "a", "disk": "fast"}, "queue": "day", "ttlSeconds": 900}
    own = {"memory": "16Gi", "nodeSelector": {"pool": "b"}, "queue": None, "gpus": 2}
    of_all, of_one = options_of(DAILY, jobs=jobs), options_of({**DAILY, "jobs": own}, jobs=jobs)
    expected = {"memory": "16Gi", "node_selector": {"pool": "b", "disk": "fast"}, "queue": None, "gpus": 2}
    assert of_one == of_all.model_copy(update=expected)
    assert of_all.queue == "day"


def test_options_of_one_schedule_are_checked_as_those_of_all() -> None:
    message = refusal({"schedules": [DAILY, {**DAILY, "name": "big", "jobs": {"memory": "64Gi"}}]})
    assert "schedules[1].jobs.memory: 64Gi is above schedules[1].jobs.maxMemory, which is 32Gi" in message
    for jobs in ({"memory": "lots"}, {"gpu": 1}, {"image": "other"}, {"env": {"DB_PASSWORD": "x"}}, {"workers": 2}):
        assert f"/schedules/0/jobs{'/' + next(iter(jobs)) if 'lots' in jobs.values() else ''}" in refusal(
            {"schedules": [{**DAILY, "jobs": jobs}]}
        )


def test_a_queue_of_one_schedule_is_enough_for_the_right_to_ask_for_queues() -> None:
    def groups(schedule: dict[str, Any]) -> set[str]:
        rules = pick(render({"schedules": [DAILY, schedule]}), "Role")["rules"]
        return {group for rule in rules for group in rule["apiGroups"]}

    assert "kueue.x-k8s.io" in groups({**DAILY, "name": "queued", "jobs": {"queue": "night"}})
    assert "kueue.x-k8s.io" not in groups({**DAILY, "name": "other"})
