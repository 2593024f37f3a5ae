"""`atb-launch` against the fake API server with a real S3 store: what a person types, sees and gets as exit code."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from atb.contract import keys, labels
from atb.documents.plan import Plan
from atb.storage import Store, open_store
from launcher.cli import atb_launch
from launcher.plan.build import build_plan, commit_plan, read_plan
from tests.apiserver.kubelet import Outcome
from tests.launcher.fixtures import ClusterFixture, commit

IMAGE = "registry.example/atb@sha256:" + "1" * 64


class Desk:
    """A person at a terminal that is none, with a kubeconfig and a bucket."""

    def __init__(self, testbed: ClusterFixture, url: str, endpoint: str, kubeconfig: Path) -> None:
        self.testbed = testbed
        self.store: Store = open_store(url, endpoint)
        self._common = ["--store", url, "--endpoint-url", endpoint]
        self._access = ["--kubeconfig", str(kubeconfig)]

    def launch(self, *arguments: str, run: str = "r1") -> Result:
        job = ["--image", IMAGE, "--backend", "kubernetes", "--source", "sample", "--run", run]
        return self._call("--symbols", "BTCUSDT,ETHUSDT", *job, *arguments, *self._access)

    def command(self, *arguments: str) -> Result:
        return self._call(*arguments, *self._access)

    def resume(self, run: str, *arguments: str) -> Result:
        return self._call("--resume", run, *arguments, *self._access)

    def _call(self, *arguments: str) -> Result:
        return CliRunner().invoke(atb_launch, [*arguments, *self._common])

    def train(self, codes: dict[str, int]) -> None:
        """Let the kubelet's trainings end with these codes, those with 0 leaving a result."""
        assert self.testbed.kubelet is not None

        def behave(pod: dict[str, Any]) -> Outcome:
            notes = pod["metadata"]["annotations"]
            plan = read_plan(self.store, pod["metadata"]["labels"][labels.RUN_LABEL])
            code = codes.get(notes[labels.SYMBOL_ANNOTATION], 0)
            if code == 0:
                commit(self.store, plan.run, job_of(plan, notes[labels.JOB_ANNOTATION]))
            return Outcome(code=code, log=b"loading\nerror: it went wrong; look there\n")

        self.testbed.kubelet.behave = behave


def job_of(plan: Plan, name: str) -> Any:
    return next(planned for planned in plan.jobs if planned.job == name)


@pytest.fixture
def desk(fake: ClusterFixture, s3_url: str, s3_endpoint: str, tmp_path: Path) -> Desk:
    desk = Desk(fake, s3_url, s3_endpoint, tmp_path / "kubeconfig.json")
    desk.train({})
    return desk


def text(result: Result) -> str:
    return " ".join((result.output + str(result.exception or "")).split())


def test_one_command_plans_checks_creates_follows_and_collects(desk: Desk) -> None:
    result = desk.launch()
    assert result.exit_code == 0, text(result)
    output = text(result)
    assert "ok store" in re.sub(r"\s+", " ", output)
    assert "BTCUSDT-balanced: done" in output
    assert json.loads(desk.store.get(keys.manifest("r1")))["jobs"][0]["state"] == "done"


def test_a_failure_is_named_with_its_category_and_gives_its_exit_code(desk: Desk) -> None:
    desk.train({"ETHUSDT": 10})
    result = desk.launch()
    assert result.exit_code == 10, text(result)
    assert "bad-data" in text(result)
    manifest = json.loads(desk.store.get(keys.manifest("r1")))
    assert [job["category"] for job in manifest["jobs"]] == ["", "bad-data"]


def test_a_dry_run_prints_the_objects_and_makes_nothing(desk: Desk) -> None:
    assert desk.testbed.server is not None
    result = desk.launch("--dry-run")
    objects = list(yaml.safe_load_all(result.stdout))
    assert [body["kind"] for body in objects] == ["ConfigMap", "Job", "Job"]
    assert desk.testbed.server.seen("POST", "") == []


def test_a_dry_run_by_the_server_is_strict_and_makes_nothing(desk: Desk) -> None:
    assert desk.testbed.server is not None
    result = desk.launch("--dry-run=server")
    objects = list(yaml.safe_load_all(result.stdout))
    assert all(body["metadata"]["uid"] for body in objects)
    assert desk.testbed.server.state.items("jobs", "lab") == []
    assert all(request.query["fieldValidation"] == "Strict" for request in desk.testbed.server.seen("POST", "/jobs$"))


def test_preflight_stops_before_anything_is_created(desk: Desk) -> None:
    assert desk.testbed.server is not None
    result = desk.launch("--gpus", "16")
    assert result.exit_code != 0
    assert "nothing was created: nodes" in text(result)
    assert desk.testbed.server.state.items("configmaps", "lab") == []
    assert not list(desk.store.list("runs/"))


def test_not_waiting_and_attaching_later_comes_to_the_same(desk: Desk) -> None:
    result = desk.launch("--no-wait")
    assert result.exit_code == 0, text(result)
    assert "atb-launch attach r1" in text(result)
    result = desk.command("attach", "r1")
    assert result.exit_code == 0, text(result)


def test_why_says_what_happened_and_what_helps(desk: Desk) -> None:
    desk.train({"ETHUSDT": 10})
    desk.launch()
    output = text(desk.command("why", "r1", "ETHUSDT"))
    assert "ETHUSDT-balanced: failed (bad-data)" in output
    assert "with code 10" in output
    assert "remedy atb data check" in output or "remedy look with: atb data check" in output
    assert "log error: it went wrong; look there" in output


def test_logs_come_from_the_pods(desk: Desk) -> None:
    desk.launch()
    one = desk.command("logs", "r1", "BTCUSDT")
    assert one.stdout.splitlines() == ["loading", "error: it went wrong; look there"]
    assert "ETHUSDT-balanced: loading" in desk.command("logs", "r1").stdout
    assert desk.command("logs", "r1", "BTCUSDT", "-f").stdout == one.stdout


def test_status_shows_the_cluster_while_a_run_is_not_complete(desk: Desk) -> None:
    desk.train({"ETHUSDT": 20})
    desk.launch()
    output = text(desk.command("status", "r1"))
    assert "1 done · 1 failed (diverged)" in output


def test_a_resumed_run_does_what_failed_with_the_options_it_was_launched_with(desk: Desk) -> None:
    assert desk.testbed.server is not None
    desk.train({"ETHUSDT": 10})
    desk.launch("--memory", "9Gi")
    desk.train({})
    result = desk.resume("r1")
    assert result.exit_code == 0, text(result)
    jobs = desk.testbed.server.state.items("jobs", "lab")
    memories = [job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] for job in jobs]
    assert memories == ["9Gi"] * 3


def test_a_resume_trains_in_the_cluster_what_was_skipped_for_a_result_that_is_gone(desk: Desk) -> None:
    assert desk.launch(run="r0").exit_code == 0
    earlier = read_plan(desk.store, "r0")
    skipped = earlier.jobs[1].model_copy(
        update={"action": "skip", "previous_run": "r0", "previous_job": "ETHUSDT-fast"}
    )
    commit_plan(earlier.model_copy(update={"run": "r1", "jobs": (earlier.jobs[0], skipped)}), desk.store)
    desk.store.delete(keys.result("r0", "ETHUSDT-fast"))
    result = desk.resume("r1")
    assert result.exit_code == 0, text(result)
    assert "that 1 of 1 skipped jobs refer to are no longer there; this run trains them" in text(result)
    assert [job.job for job in read_plan(desk.store, "r1").to_run] == [job.job for job in earlier.jobs]
    assert desk.store.get(keys.result("r1", skipped.job))


def test_a_flag_of_the_resume_beats_the_plan_and_the_plan_beats_the_environment(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert desk.testbed.server is not None
    desk.train({"ETHUSDT": 10})
    desk.launch("--memory", "9Gi", "--cpu", "3")
    desk.train({})
    monkeypatch.setenv("ATB_CLUSTER_CPU", "7")
    assert desk.resume("r1", "--memory", "5Gi").exit_code == 0
    jobs = desk.testbed.server.state.items("jobs", "lab")
    limits = [job["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"] for job in jobs]
    assert sorted(each["memory"] for each in limits) == ["5Gi", "9Gi", "9Gi"]
    assert {each["cpu"] for each in limits} == {"3"}


def test_a_file_of_options_that_the_environment_names_does_not_change_a_resumed_run(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    desk.train({"ETHUSDT": 10})
    desk.launch("--memory", "9Gi")
    (tmp_path / "cluster.yaml").write_text("image: other\nmemory: 3Gi\n")
    monkeypatch.setenv("ATB_CLUSTER_CLUSTER_OPTIONS", str(tmp_path / "cluster.yaml"))
    desk.train({})
    assert desk.resume("r1").exit_code == 0
    assert desk.testbed.server is not None
    containers = [
        job["spec"]["template"]["spec"]["containers"][0] for job in desk.testbed.server.state.items("jobs", "lab")
    ]
    assert {each["resources"]["limits"]["memory"] for each in containers} == {"9Gi"}
    assert len({each["image"] for each in containers}) == 1


def test_attaching_ends_a_run_as_it_was_launched_to(desk: Desk) -> None:
    desk.launch("--no-wait", "--promote", "auto")
    decided = "BTCUSDT-balanced: refused"
    assert decided in text(desk.command("attach", "r1"))
    assert decided not in text(desk.command("attach", "r1", "--promote", "manual"))
    assert decided not in text(desk.command("collect", "r1")), "collecting promotes where it is asked to"


def test_workers_do_not_take_a_number_of_jobs_at_a_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "max_parallel is for Jobs" in text(desk.launch("--workers", "2", "--max-parallel", "3", "--dry-run"))
    monkeypatch.setenv("ATB_MAX_PARALLEL", "3")  # which another run may need
    assert desk.launch("--workers", "2", "--dry-run").exit_code == 0


def test_a_run_of_this_machine_continues_in_a_cluster_with_the_options_that_are_set(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = build_plan("r1", ["BTCUSDT"], ["balanced"], {"source": "sample"}, backend="local", now=datetime.now(UTC))
    commit_plan(plan, desk.store)
    monkeypatch.setenv("ATB_CLUSTER_IMAGE", IMAGE)
    result = desk.resume("r1", "--backend", "kubernetes", "--no-wait")
    assert result.exit_code == 0, text(result)
    assert "follow them with: atb-launch --resume r1 --backend kubernetes" in text(result), "attach asks this machine"


def test_cancel_stops_what_is_live_and_clean_takes_the_rest_away(desk: Desk) -> None:
    assert desk.testbed.server is not None
    assert desk.testbed.kubelet is not None
    desk.testbed.kubelet.behave = lambda pod: Outcome(seconds=1e9)
    desk.launch("--no-wait")
    assert "live" in text(desk.command("clean", "r1"))
    assert "2 Jobs stopped" in text(desk.command("cancel", "r1", "--yes"))
    assert desk.command("attach", "r1").exit_code == 143
    assert desk.command("clean", "r1").exit_code == 0
    assert desk.testbed.server.state.items("configmaps", "lab") == []


def test_clean_all_takes_every_run_away_and_cancelling_what_has_ended_says_so(desk: Desk) -> None:
    assert desk.testbed.server is not None
    desk.train({"ETHUSDT": 10})
    desk.launch()
    assert "run r1 has ended: no Job of it is left to stop" in text(desk.command("cancel", "r1", "--yes"))
    assert "give one RUN, or --all" in text(desk.command("clean"))
    assert "removed 1 runs from lab" in text(desk.command("clean", "--all"))
    assert desk.testbed.server.state.items("configmaps", "lab") == []
    assert desk.testbed.server.state.items("jobs", "lab") == []


def test_a_run_that_is_not_in_the_cluster_is_one_line(desk: Desk) -> None:
    desk.launch("--no-wait")
    desk.command("clean", "r1", "--force")
    assert "is not in namespace lab" in text(desk.command("clean", "r1"))


@pytest.mark.parametrize(
    ("flag", "value"),
    [("--env", "AWS_SECRET_ACCESS_KEY=abc"), ("--set", "features=AKIAIOSFODNN7EXAMPLE")],
)
def test_a_secret_on_the_command_line_is_refused(desk: Desk, flag: str, value: str) -> None:
    result = desk.launch(flag, value)
    assert result.exit_code != 0
    assert "looks like a secret" in text(result)
    assert value.partition("=")[2] not in text(result)


def test_a_planted_secret_is_in_nothing_that_is_rendered_written_or_printed(desk: Desk) -> None:
    assert desk.testbed.server is not None
    desk.train({"ETHUSDT": 10})
    planted = os.environ["AWS_SECRET_ACCESS_KEY"]
    assert len(planted) > 8
    output = [desk.launch(), desk.command("why", "r1", "ETHUSDT"), desk.command("status", "r1")]
    for result in output:
        assert planted not in result.output
    for entry in desk.store.list(""):
        assert planted.encode() not in desk.store.get(entry.key), entry.key
    for request in desk.testbed.server.requests:
        assert planted not in json.dumps(request.body)


def test_cluster_flags_need_a_cluster(desk: Desk) -> None:
    result = CliRunner().invoke(atb_launch, ["--symbols", "A", "--backend", "local", "--image", "x"])
    assert "--image is for the kubernetes backend" in str(result.exception)


def test_options_come_from_a_file_and_flags_beat_it(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text("gpus: 0\nmemory: 3Gi\nenv_plain: {A: b}\n")
    flags = [
        "--memory",
        "4Gi",
        "--env-plain",
        "C=d",
        "--toleration",
        "spot",
        "--node-selector",
        "pool=cpu",
        "--deadline",
        "90m",
    ]
    result = desk.launch("--dry-run", "--cluster-options", str(path), "--deadline", "90m", *flags)
    job = list(yaml.safe_load_all(result.stdout))[1]
    pod = job["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"] == {"memory": "4Gi"}
    assert pod["tolerations"] == [{"key": "spot", "operator": "Exists"}]
    assert pod["nodeSelector"] == {"pool": "cpu"}
    assert job["spec"]["activeDeadlineSeconds"] == 5400
    assert {"A", "C"} <= {entry["name"] for entry in pod["containers"][0]["env"]}
