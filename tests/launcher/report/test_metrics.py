"""A run in numbers: what is measured, the text that Prometheus reads, and the push."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from prometheus_client.openmetrics import exposition
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from atb.contract import keys
from atb.documents.attempt import Claim, ExitReport, MemoryNeed, Verdict
from atb.documents.champion import Champion
from atb.documents.plan import Plan
from atb.documents.result import StageTime
from atb.documents.worker import WorkerState
from atb.registry.champions import ModelKey
from atb.registry.record import scan_records
from atb.storage import MemoryStore
from launcher.cli.ending import Ending, finish
from launcher.records.manifest import build_manifest, collect
from launcher.records.run_record import RunRecord
from launcher.report.exposition import _Collected, group_of, push, render_text
from launcher.report.metrics import Family, measure_run
from tests.launcher.fixtures import NOW, make_plan, make_result

PLAN = make_plan("A", "B", "C", "D").model_copy(update={"options": {"gpus": 2, "cluster": {"namespace": "lab"}}})
A, B, C, D = PLAN.jobs
STAGES = (("dataset", 1.0), ("training", 6.0), ("total", 9.0))
AT = NOW.timestamp()


def commit(store: MemoryStore, planned: Any, *, wait: float, attempts: int = 1) -> None:
    began = NOW + timedelta(seconds=wait)
    stages = tuple(StageTime(name=name, seconds=seconds) for name, seconds in STAGES)
    finished = began + timedelta(seconds=9)
    times = {"stages": stages, "startup_seconds": 1.0, "started": began, "finished": finished}
    result = make_result(PLAN.run, planned, attempt=attempts).model_copy(update=times)
    store.put(keys.result(PLAN.run, planned.job), result.to_bytes())
    claim = Claim(attempt=attempts, host="here", process=1, started=began)
    store.put(keys.attempt(PLAN.run, planned.job, attempts, "claim.json"), claim.to_bytes())


@pytest.fixture
def store() -> MemoryStore:
    """A done at once, B at its third attempt after it ran out of memory, C diverged, D never placed; A serves."""
    found = MemoryStore()
    found.put(keys.plan(PLAN.run), PLAN.to_bytes())
    commit(found, A, wait=45)
    commit(found, B, wait=500, attempts=3)
    need = MemoryNeed(memory="12Gi", peak_memory_bytes=8 << 30, run=PLAN.run, updated=NOW)
    found.put(keys.memory("B", "1h", "fast"), need.to_bytes())
    other = need.model_copy(update={"run": "an-earlier-run"})
    found.put(keys.memory("A", "1h", "fast"), other.to_bytes())
    report = ExitReport(
        attempt=1,
        code=20,
        category="diverged",
        message="the loss is not a number",
        stage="training",
        started=NOW,
        finished=NOW + timedelta(seconds=4),
    )
    found.put(keys.attempt(PLAN.run, C.job, 1, "exit.json"), report.to_bytes())
    verdict = Verdict(job=D.job, state="failed", category="gpu", reason="no GPU", recorded=NOW)
    found.put(keys.verdict(PLAN.run, D.job), verdict.to_bytes())
    serves = Champion(
        symbol="A",
        timeframe="1h",
        preset="fast",
        run=PLAN.run,
        job=A.job,
        result=keys.result(PLAN.run, A.job),
        spec_digest=A.spec_digest,
        as_of=NOW,
        unseen_from=NOW,
        metrics={},
        baselines={},
        files=(),
        promoted=NOW - timedelta(days=2),
        by="me",
        entry="models/A/1h/fast/sample-return-1/history/1.json",
        market="sample",
    )
    found.put(ModelKey.of(serves).pointer, serves.to_bytes())
    return found


def measure(store: MemoryStore, plan: Plan = PLAN) -> list[Family]:
    record = RunRecord.of(store, plan)
    return measure_run(store, plan, build_manifest(record), scan_records(store, record.model_keys), AT + 600)


def values(families: list[Family]) -> dict[str, float]:
    """Every sample, read by Prometheus' own parser: ``name{label=value}`` → value."""
    found = {}
    for family in text_string_to_metric_families(render_text(families)):
        for sample in family.samples:
            inner = ",".join(f"{name}={text}" for name, text in sorted(sample.labels.items()) if text)
            found[f"{sample.name}{{{inner}}}" if inner else sample.name] = sample.value
    return found


def test_a_run_is_measured(store: MemoryStore) -> None:
    assert values(measure(store)) == {
        "atb_run_info{backend=kubernetes,run=run-1}": 1,
        "atb_run_created_timestamp_seconds": AT,
        "atb_run_collected_timestamp_seconds": AT + 600,
        "atb_jobs{state=done}": 2,
        "atb_jobs{category=diverged,state=failed}": 1,
        "atb_jobs{category=gpu,state=failed}": 1,
        **{f"atb_jobs{{state={state}}}": 0 for state in ("failed", "interrupted", "pending", "running", "skipped")},
        "atb_job_retries_total": 2,
        "atb_jobs_out_of_memory": 1,
        "atb_job_peak_memory_bytes{preset=fast,symbol=B}": 8 << 30,
        **{f"atb_job_wait_seconds_bucket{{le={bound}}}": 0 for bound in ("10.0", "30.0")},
        **{
            f"atb_job_wait_seconds_bucket{{le={bound}}}": 1
            for bound in ("60.0", "300.0", "900.0", "3600.0", "14400.0", "+Inf")
        },
        "atb_job_wait_seconds_count": 1,
        "atb_job_wait_seconds_sum": 44,
        "atb_stage_seconds_total{stage=dataset}": 2,
        "atb_stage_seconds_total{stage=training}": 12,
        "atb_stage_seconds_total{stage=startup}": 2,
        "atb_stage_seconds_total{stage=other}": 4,
        "atb_stage_seconds_total{stage=unfinished}": 4,
        "atb_stage_gpu_seconds_total{stage=dataset}": 4,
        "atb_stage_gpu_seconds_total{stage=training}": 24,
        "atb_stage_gpu_seconds_total{stage=startup}": 4,
        "atb_stage_gpu_seconds_total{stage=other}": 8,
        "atb_stage_gpu_seconds_total{stage=unfinished}": 8,
        "atb_champion_promoted_timestamp_seconds"
        "{horizon=1,market=sample,preset=fast,symbol=A,target=return,timeframe=1h}": AT - 2 * 86_400,
    }


def test_a_collected_run_measures_the_same_though_its_results_are_not_read_again(store: MemoryStore) -> None:
    before = values(measure(store))
    collect(store, RunRecord.of(store, PLAN))
    assert values(measure(store)) == before


def test_gpus_of_workers_count_for_as_long_as_workers_hold_them(store: MemoryStore) -> None:
    began = datetime(2026, 11, 1, 12, tzinfo=UTC)
    ended = began + timedelta(seconds=48)
    state = WorkerState(worker="w", host="here", slots=4, gpus=1, started=began, updated=ended, finished=ended)
    store.put(keys.worker(PLAN.run, "w"), state.to_bytes())
    found = {name: value for name, value in values(measure(store)).items() if "gpu_seconds" in name}
    assert sum(found.values()) == 48
    assert found["atb_stage_gpu_seconds_total{stage=training}"] == 24


def test_a_plan_that_does_not_say_its_gpus_has_no_gpu_seconds(store: MemoryStore) -> None:
    assert not [name for name in values(measure(store, PLAN.model_copy(update={"options": {}}))) if "gpu_sec" in name]


def test_names_follow_the_rules_of_prometheus(store: MemoryStore) -> None:
    for family in measure(store):
        assert family.name.startswith("atb_")
        assert not family.name.endswith(("_total", "_count", "_sum", "_bucket", "_info")), family.name
        assert family.unit in ("", "seconds", "bytes")
        assert (family.name.split("_")[-1] == family.unit) == bool(family.unit), family.name
        assert family.help.endswith("."), family.name


def test_the_text_says_what_the_library_would_write(store: MemoryStore) -> None:
    def parts(text: str) -> list[tuple[Any, ...]]:
        return [
            (each.name, each.type, each.documentation, each.samples) for each in text_string_to_metric_families(text)
        ]

    families = measure(store)
    assert parts(render_text(families)) == parts(exposition.generate_latest(_Collected(families)).decode())


def test_labels_and_help_are_escaped() -> None:
    family = Family("atb_x", "gauge", 'A "b"\n\\c.')
    family.add(1.5, symbol='X"\\\nY')
    (read,) = text_string_to_metric_families(render_text([family]))
    assert read.documentation == 'A "b"\n\\c.'
    assert read.samples[0].labels == {"symbol": 'X"\\\nY'}


@contextmanager
def gateway(status: int = 202) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """A server that takes pushes, and the method, path and body of each."""
    seen: list[tuple[str, str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            seen.append((self.command, self.path, body))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_run_that_is_collected_leaves_its_metrics_and_pushes_them(store: MemoryStore, capsys: Any) -> None:
    with gateway() as (url, seen):
        finish(PLAN.run, store, Ending(push_gateway=url))
    ((_, path, body),) = seen
    assert path == "/metrics/job/atb/namespace/lab"
    assert 'atb_jobs{category="gpu",state="failed"} 1.0' in body
    assert 'atb_jobs{category="gpu",state="failed"} 1.0' in store.get(keys.metrics(PLAN.run)).decode()
    assert "warning" not in capsys.readouterr().err


def test_a_push_that_fails_is_one_line_of_warning(store: MemoryStore, capsys: Any) -> None:
    with gateway(500) as (url, _):
        finish(PLAN.run, store, Ending(push_gateway=url))
    finish(PLAN.run, store, Ending(push_gateway=url))  # nobody listens there any more
    lines = capsys.readouterr().err.splitlines()
    warnings = [line for line in lines if line.startswith("warning: ")]
    assert len(warnings) == 2
    assert f"the metrics could not be pushed to {url}: it answered 500" in warnings[0]
    assert "Connection refused" in warnings[1]


@pytest.mark.parametrize(
    "proxy", ["http:/me:hidden@proxy", "socks5://me:hidden@proxy", "http://me:hidden@127.0.0.1:x", "http://me:hidden@"]
)
def test_a_proxy_that_can_t_be_used_is_not_repeated(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    problem = push([Family("atb_x", "gauge", "X.")], "http://gateway.invalid:9091", {})
    assert "look at its address, HTTP_PROXY" in problem
    assert "hidden" not in problem


def test_a_gateway_in_a_network_that_no_proxy_is_for_is_reached_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.0/8")
    family = Family("atb_x", "gauge", "X.")
    family.add(1)
    with gateway() as (url, seen):
        assert push([family], url, {}) == ""
        assert push([family], url.removeprefix("http://"), {}) == ""
    assert [(path, "atb_x 1.0" in body) for _, path, body in seen] == [("/metrics/job/atb", True)] * 2
    with gateway(500) as (url, _):
        assert "it answered 500" in push([family], url, {})
    assert "no way to it" in push([family], "http://[::1", {})


def test_an_answer_that_is_no_http_is_one_line_too() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"what?\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        problem = push([Family("atb_x", "gauge", "X.")], f"http://127.0.0.1:{port}", {})
        thread.join()
    assert problem.startswith("the metrics could not be pushed to")


def test_each_schedule_of_each_namespace_has_its_own_group() -> None:
    options = {"schedule": "atb-daily", "cluster": {"namespace": "lab"}}
    assert group_of(PLAN.model_copy(update={"options": options})) == {"namespace": "lab", "schedule": "atb-daily"}
    assert group_of(PLAN.model_copy(update={"options": {}})) == {}
