from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from atb.contract import keys
from atb.contract.runs import validate_run
from atb.contract.spec import Spec
from atb.documents.plan import Plan
from atb.documents.result import FileEntry, Result, ResultPointer
from atb.errors import Denied, SpecError
from atb.storage import MemoryStore, Store
from atb.storage.bar_files import BarFolders
from atb.storage.fingerprints import SAMPLE, file_origin, folder_origin
from launcher.plan.build import (
    build_plan,
    commit_plan,
    find_job,
    read_names,
    read_plan,
    revive_skipped,
    skip_unchanged,
)
from tests.atb.registry.candidates import make_result

NOW = datetime(2026, 1, 31, 6, 40, tzinfo=UTC)
CODE = "c" * 16

EARLIER = "runs/r1/jobs/BTCUSDT-fast/bundle/1/model.onnx"
"""Where earlier versions wrote a bundle."""


def code_of(spec: Spec) -> str:
    return CODE


def plan_of(*symbols: str, presets: tuple[str, ...] = ("fast",), **options: Any) -> Plan:
    return build_plan("r2", symbols, presets, options, backend="local", now=NOW)


def commit(store: Store, plan: Plan, *, run: str = "r1", image: str | None = None, **pointer: Any) -> None:
    """A result of the plan's only job in an earlier run, with the hint that leads to it."""
    (job,) = plan.jobs
    result = make_result(run, job.spec.symbol, job.spec.preset)
    result = result.model_copy(update={"spec": job.spec, "spec_digest": job.spec_digest})
    store.put(keys.result(run, job.job), result.to_bytes())
    fields = {"code_digest": CODE, "bars_digest": "b", "sources": {SAMPLE: SAMPLE}, **pointer}
    hint = ResultPointer.model_validate({"run": run, "job": job.job, "image": image, **fields})
    store.put(keys.result_index(job.spec_digest), hint.to_bytes())


def test_every_symbol_with_every_preset_at_one_as_of() -> None:
    plan = plan_of("BTCUSDT", "ETHUSDT", presets=("fast", "quality"))
    assert [job.job for job in plan.jobs] == ["BTCUSDT-fast", "BTCUSDT-quality", "ETHUSDT-fast", "ETHUSDT-quality"]
    assert {job.spec.as_of for job in plan.jobs} == {datetime(2026, 1, 31, 6, tzinfo=UTC)}
    assert [job.spec.epochs for job in plan.jobs] == [100, 300, 100, 300]
    assert Plan.from_bytes(plan.to_bytes(), "plan") == plan


def test_a_plan_read_back_has_the_same_digests() -> None:
    plan = plan_of("BTC/USDT:USDT", epochs="5", learning_rate="1e-4")
    again = Plan.from_bytes(plan.to_bytes(), "plan").jobs[0]
    assert again.spec.digest == again.spec_digest == plan.jobs[0].spec_digest


def test_a_warm_start_is_pinned_for_each_symbol_by_itself() -> None:
    plan = build_plan(
        "r1",
        ["AUSDT", "BUSDT"],
        ["fast"],
        {"warm_start": "champion", "timeframe": "4h"},
        backend="local",
        now=datetime(2026, 1, 31, tzinfo=UTC),
        pin=lambda text, model_key: f"{text}/{model_key.symbol}/{model_key.timeframe}@{'0' * 64}",
    )
    assert [job.spec.warm_start.split("@")[0] for job in plan.jobs] == ["champion/AUSDT/4h", "champion/BUSDT/4h"]


def test_names_come_once_and_in_order_and_those_named_twice_are_reported() -> None:
    assert read_names("BTCUSDT, ETHUSDT,BTCUSDT", "--symbols") == (("BTCUSDT", "ETHUSDT"), ("BTCUSDT",))


def test_names_come_from_a_file_with_comments(tmp_path: Path) -> None:
    path = tmp_path / "symbols.txt"
    path.write_text("# the large ones\nBTCUSDT\nETHUSDT, LTCUSDT  # and these\n\n")
    assert read_names(f"@{path}", "--symbols") == (("BTCUSDT", "ETHUSDT", "LTCUSDT"), ())


@pytest.mark.parametrize(
    ("text", "words"),
    [(" , ", "names nothing"), ("@/nowhere/symbols", "No such file"), ("@{binary}", "not text")],
)
def test_names_that_can_not_be_read_are_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match=words):
        read_names(text.replace("{binary}", str(tmp_path / "binary")), "--symbols")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": "0"}, "epochs .*greater than or equal to 1"),
        ({"features": "clasic"}, "did you mean classic"),
        ({"timeframe": "1x"}, "timeframe"),
        ({"mixed_precision": "perhaps"}, "mixed_precision"),
    ],
)
def test_a_wrong_value_is_refused_before_anything_starts(options: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        plan_of("BTCUSDT", **options)


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SpecError, match="'turbo' is unknown; choose one of fast, balanced, quality, legacy"):
        plan_of("BTCUSDT", presets=("turbo",))


@pytest.mark.parametrize("name", ["", "-a", "a/b", "a b", "a" * 64, "..", "a\n"])
def test_a_run_needs_a_name_that_is_a_label_and_a_folder(name: str) -> None:
    with pytest.raises(SpecError, match="is not a name"):
        validate_run(name)


def test_what_is_unchanged_is_skipped_and_refers_to_its_result(store: Store) -> None:
    plan = plan_of("BTCUSDT")
    commit(store, plan)
    (job,) = skip_unchanged(plan, store, code_of, None).jobs
    assert (job.action, job.previous_run, job.previous_job) == ("skip", "r1", "BTCUSDT-fast")
    assert job.reason == "unchanged since run r1"


@pytest.mark.parametrize("lost", ["result", "a file of the bundle", "spec", "nothing"])
def test_a_resume_trains_what_was_skipped_for_a_result_that_is_gone(lost: str, store: Store) -> None:
    plan = plan_of("BTCUSDT")
    commit(store, plan)
    key = keys.result("r1", "BTCUSDT-fast")
    result = Result.from_bytes(store.get(key), key)
    file = FileEntry(path="model.onnx", size=2, sha256="0" * 64, key=keys.bundle("r1", "BTCUSDT-fast", 1, "model.onnx"))
    store.put(file.key, b"{}")
    store.put(key, result.model_copy(update={"files": (file,)}).to_bytes())
    plan = skip_unchanged(plan, store, code_of, None)
    assert plan.to_run == []
    commit_plan(plan, store)
    if lost == "result":
        store.delete(key)
    elif lost == "spec":
        store.put(key, result.model_copy(update={"spec_digest": "0" * 64}).to_bytes())
    elif lost != "nothing":
        store.delete(file.key)
    revived = revive_skipped(plan, store)
    assert revived == read_plan(store, "r2")
    assert [job.action for job in revived.jobs] == ["skip" if lost == "nothing" else "run"]
    assert [job.spec_digest for job in revived.jobs] == [job.spec_digest for job in plan.jobs]


def test_a_result_that_may_not_be_read_is_no_reason_to_skip_and_none_to_call_it_gone() -> None:
    class Closed(MemoryStore):
        """A result that may be listed only."""

        def get(self, key: str) -> bytes:
            if denied and key == keys.result("r1", "BTCUSDT-fast"):
                raise Denied("Permission denied", key)
            return super().get(key)

    denied: list[bool] = []
    store, plan = Closed(), plan_of("BTCUSDT")
    commit(store, plan)
    skipped = skip_unchanged(plan, store, code_of, None)
    commit_plan(skipped, store)
    denied.append(True)
    assert skip_unchanged(plan, store, code_of, None).jobs[0].action == "run"
    assert revive_skipped(skipped, store).jobs[0].action == "skip"


def test_two_resumes_at_once_revive_each_gone_job_once() -> None:
    class Rival(MemoryStore):
        """Another launcher writes just before this one."""

        def put_if_match(self, key: str, data: bytes, etag: str) -> str:
            if not begun:
                begun.append(plan)
                begun.append(revive_skipped(plan, self))
            return super().put_if_match(key, data, etag)

    begun: list[Plan] = []
    store, plan = Rival(), plan_of("BTCUSDT")
    commit(store, plan)
    plan = skip_unchanged(plan, store, code_of, None)
    commit_plan(plan, store)
    store.delete(keys.result("r1", "BTCUSDT-fast"))
    found = revive_skipped(plan, store)
    assert found == begun[1] == read_plan(store, "r2")
    assert len(found.to_run) == 1


@pytest.mark.parametrize(
    ("pointer", "code", "image"),
    [
        ({}, "d" * 16, None),
        ({}, CODE, "trainer:1"),
        ({"sources": {}}, CODE, None),
        ({"sources": {"file:/nowhere/BTCUSDT.csv": "1-2"}}, CODE, None),
        ({"run": "gone"}, CODE, None),
    ],
    ids=["another code", "another image", "bars from nowhere known", "bars that changed", "a result cleaned away"],
)
def test_what_may_differ_is_trained(pointer: dict[str, Any], code: str, image: str | None) -> None:
    store, plan = MemoryStore(), plan_of("BTCUSDT")
    run = pointer.get("run")
    commit(store, plan, **{name: value for name, value in pointer.items() if name != "run"})
    if run:
        store.delete(keys.result("r1", "BTCUSDT-fast"))
    assert [job.action for job in skip_unchanged(plan, store, lambda spec: code, image).jobs] == ["run"]


def test_an_image_by_digest_proves_its_own_code_and_a_tag_does_not() -> None:
    plan = plan_of("BTCUSDT")
    for image, action in (("trainer@sha256:1", "skip"), ("trainer:1", "run")):
        store = MemoryStore()
        commit(store, plan, image=image)
        assert [job.action for job in skip_unchanged(plan, store, lambda spec: "d" * 16, image).jobs] == [action]


def test_a_changed_bar_file_is_noticed(tmp_path: Path) -> None:
    store, plan, path = MemoryStore(), plan_of("BTCUSDT"), tmp_path / "BTCUSDT.csv"
    path.write_text("one")
    commit(store, plan, sources=dict([file_origin(path)[1]]))
    assert skip_unchanged(plan, store, code_of, None).jobs[0].action == "skip"
    path.write_text("another")
    assert skip_unchanged(plan, store, code_of, None).jobs[0].action == "run"


@pytest.mark.parametrize("in_store", [False, True])
def test_another_file_that_answers_to_the_symbol_is_noticed(in_store: bool, tmp_path: Path) -> None:
    store, plan = MemoryStore(), plan_of("BTCUSDT")

    def write(name: str) -> None:
        store.put(f"mine/{name}", b"one")
        (tmp_path / name).write_text("one")

    write("BTCUSDT-1h-2026-01.csv")
    path = "store:mine" if in_store else str(tmp_path)
    files = BarFolders(store).answering(path, "BTCUSDT", "1h")
    commit(store, plan, sources=dict([folder_origin(path, "BTCUSDT", "1h", files)]))
    for name in ("ETHUSDT-1h-2026-01.csv", "BTCUSDT_4h.csv", ".BTCUSDT_1h.csv"):
        write(name)
        assert skip_unchanged(plan, store, code_of, None).jobs[0].action == "skip", name
    write("btc-usdt.parquet")
    assert skip_unchanged(plan, store, code_of, None).jobs[0].action == "run"


def test_a_touched_bar_file_and_one_written_again_as_it_was_are_not_trained_anew(tmp_path: Path) -> None:
    store, plan, path = MemoryStore(), plan_of("BTCUSDT"), tmp_path / "BTCUSDT.csv"
    path.write_text("one")
    commit(store, plan, sources=dict([file_origin(path)[1]]))
    for spoil in (lambda: os.utime(path, (1, 1)), lambda: path.write_text("one")):
        spoil()
        assert skip_unchanged(plan, store, code_of, None).jobs[0].action == "skip"
    path.write_text("two")
    os.utime(path, (1, 1))
    assert skip_unchanged(plan, store, code_of, None).jobs[0].action == "run"


def test_more_jobs_than_the_documents_of_a_run_can_hold_are_refused_before_they_are_planned() -> None:
    with pytest.raises(SpecError, match=r"make 30,001 jobs, and a run has at most 30,000: split the symbols"):
        plan_of(*map(str, range(30_001)))


@pytest.mark.parametrize("spoil", ["delete", "cut"])
@pytest.mark.parametrize("key", [keys.bundle("r1", "BTCUSDT-fast", 1, "model.onnx"), EARLIER])
def test_a_result_whose_files_are_gone_is_trained_anew(key: str, spoil: str, store: Store) -> None:
    plan = plan_of("BTCUSDT")
    commit(store, plan)
    store.put(key, b"a model")
    result = make_result("r1", "BTCUSDT", "fast")
    entry = FileEntry(path="model.onnx", key=key, size=7, sha256="0" * 64)
    spec = {"spec": plan.jobs[0].spec, "spec_digest": plan.jobs[0].spec_digest, "files": (entry,), "attempt": 1}
    store.put(keys.result("r1", "BTCUSDT-fast"), result.model_copy(update=spec).to_bytes())
    assert skip_unchanged(plan, store, code_of, None).jobs[0].action == "skip"
    if spoil == "delete":
        store.delete(key)
    else:
        store.put(key, b"a mod")
    assert skip_unchanged(plan, store, code_of, None).jobs[0].action == "run"


@pytest.mark.parametrize("pair", [("BTCUSDT", "btcusdt"), ("BTC/USDT", "BTC-USDT"), ("BTC_USDT", "BTCUSDT")])
def test_two_spellings_of_one_market_are_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(SpecError, match=f"--symbols: {pair[0]} and {pair[1]} are the same market; name it"):
        plan_of("ETHUSDT", *pair, source="files:/data")


@pytest.mark.parametrize("spelling", ["BTC/USDT", "BTC-USDT", "btcusdt", "btc_usdt", "BTCUSDT"])
def test_one_file_has_one_model_key_in_every_run(spelling: str) -> None:
    (job,) = plan_of(spelling, source="files:/data").jobs
    assert (job.job, job.spec_digest) == ("BTCUSDT-fast", plan_of("BTCUSDT", source="files:/data").jobs[0].spec_digest)
    assert find_job(plan_of("BTCUSDT", source="files:/data"), spelling).spec.symbol == "BTCUSDT"


@pytest.mark.parametrize(
    ("spelling", "market", "kept"),
    [
        ("BTC/USDT", "spot", "BTCUSDT"),
        ("BTC/USDT:USDT", "um", "BTCUSDT"),
        ("BTC/USDT", "um", "BTC/USDT"),
        ("BTC/USDT:USDT", "spot", "BTC/USDT:USDT"),
        ("BTC/USDT:USDT-260327", "um", "BTC/USDT:USDT-260327"),
        ("BTC/USD:BTC", "cm", "BTC/USD:BTC"),
        ("PF_XBTUSD", "um", "PF_XBTUSD"),
    ],
)
def test_one_market_of_an_exchange_has_one_model_key_and_others_theirs(spelling: str, market: str, kept: str) -> None:
    assert plan_of(spelling, source="ccxt:kraken", market=market).jobs[0].spec.symbol == kept


def test_two_spellings_of_a_future_are_one_market() -> None:
    with pytest.raises(SpecError, match="BTCUSDT and BTC/USDT:USDT are the same market"):
        plan_of("BTCUSDT", "BTC/USDT:USDT", source="ccxt:kraken", market="um")


def test_symbols_that_only_look_alike_to_a_regular_expression_are_two() -> None:
    plan = plan_of("币安人生USDT", "我踏马来了USDT", "USDT", "BTC/USDT", "BTC/USDT:USDT")
    assert len({job.job for job in plan.jobs}) == 5
    assert all(job.job.isascii() for job in plan.jobs)


def test_one_name_in_two_forms_of_unicode_is_one_job() -> None:
    composed, apart = plan_of("Caf\xe9USDT"), plan_of("Cafe\u0301USDT")
    assert composed.jobs == apart.jobs
    assert find_job(composed, "Cafe\u0301USDT") == composed.jobs[0]


def test_a_plan_is_written_once(store: Store) -> None:
    plan = plan_of("BTCUSDT")
    commit_plan(plan, store)
    with pytest.raises(SpecError, match=r"run r2 is already there .*--resume r2"):
        commit_plan(plan, store)
    assert read_plan(store, "r2") == plan


def test_a_run_that_is_not_there_is_named() -> None:
    with pytest.raises(SpecError, match="there is no run r9 in memory://"):
        read_plan(MemoryStore(), "r9")


def test_a_job_is_found_by_its_id_or_its_symbol() -> None:
    plan = plan_of("BTCUSDT", "ETHUSDT", presets=("fast", "quality"))
    assert find_job(plan, "BTCUSDT-fast").job == "BTCUSDT-fast"
    assert find_job(plan_of("BTC/USDT:USDT"), "BTC/USDT:USDT").spec.symbol == "BTC/USDT:USDT"
    with pytest.raises(SpecError, match="more than one job BTCUSDT; its jobs: BTCUSDT-fast, BTCUSDT-quality"):
        find_job(plan, "BTCUSDT")
    with pytest.raises(SpecError, match="no job LTC"):
        find_job(plan, "LTC")
