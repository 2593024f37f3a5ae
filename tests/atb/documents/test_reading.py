"""What a document is refused for, and what it is not. Each refusal is one line with the key and the remedy."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from atb.contract.spec import Spec, resolve_spec
from atb.documents.attempt import Progress, Verdict
from atb.documents.champion import Champion
from atb.documents.plan import Plan, PlannedJob
from atb.documents.result import Result, Rule
from atb.errors import Unreadable
from atb.schema import Document, is_altered, is_sealed, printable, readable_json, validate_size
from atb.storage import MemoryStore
from atb.storage.read import read_document
from tests.atb.documents.test_older_documents import KINDS, read_old
from tests.atb.registry.candidates import make_result

NOW = datetime(2026, 1, 31, 6, tzinfo=UTC)
DAMAGED: dict[str, bytes] = {
    "empty": b"",
    "binary": bytes(range(256)) * 40,
    "a list": b"[1, 2]",
    "null": b"null",
    "foreign": b'{"name": "something else"}',
    "a web page": b"<!doctype html><title>404</title>",
    "nested deeply": b'{"schema_version": "1.0", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "nested past the limit": b"[" * 900 + b"]" * 900,
    "a newer major version": b'{"schema_version": "2.0"}',
    "a version that is none": b'{"schema_version": {"a": 1}}',
    "wrong types": b'{"schema_version": "1.0", "run": 7, "job": [], "attempt": "x", "jobs": 3}',
    "a number of 5,000 digits": b'{"schema_version": "1.0", "attempt": ' + b"9" * 5_000 + b"}",
    "UTF-16": '{"schema_version": "1.0"}'.encode("utf-16"),
    "an escape sequence": b'{"schema_version": "1.0", "run": "\\u001b[2J\\u001b]0;x\\u0007"}',
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_what_is_no_document_is_refused_in_one_printable_line(kind: type[Document], data: bytes) -> None:
    with pytest.raises(Unreadable) as caught:
        kind.from_bytes(data, "runs/r1/some.json")
    assert str(caught.value).startswith("runs/r1/some.json ")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_document_is_refused_wherever_it_ends(kind: type[Document]) -> None:
    whole = read_old(kind)
    for end in range(0, len(whole) - 2, max(1, len(whole) // 60)):
        with pytest.raises(Unreadable):
            kind.from_bytes(whole[:end], "key")


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity", "9" * 19, "-" + "1" * 400])
def test_nan_infinity_and_integers_that_no_float_holds_are_refused_anywhere(constant: str) -> None:
    raw = json.loads(read_old(Result))
    raw["bars"]["report"] = {"missing": 12345.6789}
    text = json.dumps(raw).replace("12345.6789", constant)
    with pytest.raises(Unreadable, match=f"it holds the number {constant[:19]}"):
        Result.from_bytes(text, "key")
    raw["bars"]["report"] = {"text": f"x: {constant}", "most": 999_999_999_999_999_999}
    assert Result.from_bytes(json.dumps(raw), "key").bars.report == raw["bars"]["report"]


def test_a_document_carries_a_digest_of_its_own_content() -> None:
    data = make_result().to_bytes()
    assert is_sealed(data)
    assert not is_altered(data)
    assert Result.from_bytes(data, "key") == make_result()
    for old, new in ((b'"attempt": 1', b'"attempt": 2'), (b'"rows": 4000', b'"rows": 4001'), (b"\n", b"\n ")):
        with pytest.raises(Unreadable, match="was altered or damaged"):
            Result.from_bytes(data.replace(old, new, 1), "key")
    moved = json.loads(data)
    with pytest.raises(Unreadable, match="was altered or damaged"):
        Result.from_bytes(json.dumps(dict(sorted(moved.items()))), "key")


def test_a_newer_version_is_named_before_its_digest_is() -> None:
    data = make_result().to_bytes().replace(b'"1.0"', b'"2.1"', 1)
    with pytest.raises(Unreadable, match=r"schema 2.1; this version reads 1.x: upgrade atb"):
        Result.from_bytes(data, "key")


def test_fields_of_a_newer_minor_version_are_passed_over() -> None:
    raw = json.loads(read_old(Result)) | {"schema_version": "1.7", "invented": {"later": [1]}}
    assert Result.from_bytes(json.dumps(raw), "key").run == "r2"


def test_an_object_larger_than_any_document_of_its_kind_is_not_read() -> None:
    with pytest.raises(Unreadable, match=r"it has 8,388,609 bytes, at most are 8,388,608"):
        Progress.from_bytes(b"x" * (Progress.largest + 1), "key")
    validate_size(Plan, 60 << 20, "key")


@pytest.mark.parametrize(
    ("unit", "count", "values"),
    [(b"0,", 2_000_000, "2,000,004"), (b"{},", 200_000, "1,000,004"), (b"[[]],", 100_000, "900,004")],
)
def test_millions_of_tiny_values_are_not_read_and_fewer_objects(unit: bytes, count: int, values: str) -> None:
    with pytest.raises(Unreadable, match=f"it has {values} values, at most are 349,525"):
        Progress.from_bytes(b"[" + unit * count + b"0]", "key")


def test_a_misplaced_document_is_refused() -> None:
    store = MemoryStore()
    store.put("runs/r9/jobs/BTCUSDT-fast/result.json", make_result("r1").to_bytes())
    with pytest.raises(Unreadable, match=r"is the result of another run \(r1\)"):
        read_document(store, Result, "runs/r9/jobs/BTCUSDT-fast/result.json", run="r9", job="BTCUSDT-fast")
    store.put("models/ETHUSDT/1h/fast/current.json", read_old(Champion))
    with pytest.raises(Unreadable, match=r"is the champion of another symbol \(WAVE\)"):
        read_document(store, Champion, "models/ETHUSDT/1h/fast/current.json", symbol="ETHUSDT")


PATHS = ("../../x", "/etc/x", "a/b", "..", ".", "", "a\\b", "a\nb", "\x00", "x" * 201)


@pytest.mark.parametrize("name", PATHS)
def test_no_name_in_a_document_becomes_a_path(name: str) -> None:
    raw = json.loads(read_old(Plan))
    raw["jobs"][0]["job"] = name
    with pytest.raises(Unreadable):
        Plan.from_bytes(json.dumps(raw), "key")
    raw = json.loads(read_old(Plan)) | {"run": name}
    with pytest.raises(Unreadable):
        Plan.from_bytes(json.dumps(raw), "key")
    verdict = {
        "schema_version": "1.0",
        "job": name,
        "state": "failed",
        "category": "",
        "reason": "",
        "recorded": "2026-01-01T00:00:00Z",
    }
    with pytest.raises(Unreadable):
        Verdict.from_bytes(json.dumps(verdict), "key")


def test_a_plan_s_job_is_the_one_of_its_spec() -> None:
    spec = resolve_spec("BTCUSDT", "fast", {"as_of": NOW})
    with pytest.raises(ValueError, match="is not the job of BTCUSDT fast"):
        PlannedJob(job="ETHUSDT-fast", spec=spec, spec_digest=spec.digest)


def test_text_of_a_document_is_shown_without_control_characters() -> None:
    assert printable("a\x1b[2Jb\nc\u202e") == "a\ufffd[2Jb c\ufffd"
    assert printable("x" * 600, 10) == "xxxxxxxxx…"


def test_a_document_is_written_in_lines_and_every_value_is_read_as_it_was() -> None:
    values = {f"{x}": x for e in range(-24, 25) for x in (10.0**e, -1.25 * 10.0**e)} | {"zero": -0.0, "é\n": 5e-324}
    result = make_result().model_copy(update={"metrics": values, "job": 'a 1e-7,\n 1e-7\nNaN"\\'})
    data = result.to_bytes()
    assert not is_altered(data)
    fields = json.loads(data)
    assert [line.split(b":")[0] for line in data.splitlines()] == [
        line.split(b":")[0] for line in readable_json(fields).splitlines()
    ]
    del fields["content_sha256"]
    assert fields == result.model_dump(mode="json", by_alias=True)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("place", ["metrics", "fit"])
def test_no_document_is_written_with_nan_or_infinity(number: float, place: str) -> None:
    result = make_result()
    changed = {"skill": number} if place == "metrics" else result.fit.model_copy(update={"steps_per_second": number})
    with pytest.raises(ValueError, match="not JSON compliant"):
        result.model_copy(update={place: changed}).to_bytes()


def test_parts_that_share_the_names_of_their_fields_are_changed_apart() -> None:
    first, second = (Rule(name=name, value=1.0, bound=0.0, passed=True) for name in ("one", "two"))
    before = {"name", "value", "bound", "passed"}
    changed = first.model_copy(update={"note": "changed"})
    assert changed.model_fields_set == before | {"note"}
    assert first.model_fields_set == second.model_fields_set == before
    assert first.__pydantic_fields_set__ is second.__pydantic_fields_set__
    assert Rule.model_validate_json(first.model_dump_json()) == first


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timeframe", "x"),
        ("timeframe", "x" * 5_000),
        ("features", ""),
        ("as_of", "9999-12-31T23:59:59Z"),
        ("augment", "x" * 5_000),
    ],
)
def test_a_value_that_a_spec_refuses_makes_its_document_unreadable_and_not_the_command(field: str, value: str) -> None:
    spec = json.loads(resolve_spec("BTCUSDT", "fast", {"source": "sample"}, now=NOW).to_bytes())
    with pytest.raises(Unreadable, match=r"^spec.json is not a valid spec: ") as caught:
        Spec.from_bytes(json.dumps({**spec, field: value}), "spec.json")
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("field", ["started", "finished"])
def test_a_time_without_a_zone_is_refused_since_it_can_not_be_compared(field: str) -> None:
    raw = json.loads(read_old(Result)) | {field: "1970-01-01T00:00:00"}
    with pytest.raises(Unreadable, match=field):
        Result.from_bytes(json.dumps(raw), "key")
