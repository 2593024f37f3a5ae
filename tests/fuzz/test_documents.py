"""Whatever a document of a store is, what reads the store goes on around it; and texts that name things."""

from __future__ import annotations

import contextlib
import functools
import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from atb.contract.runs import validate_run
from atb.contract.spec import Spec, resolve_spec
from atb.errors import SpecError, Unreadable
from atb.schema import Document
from atb.storage import DirectoryStore, MemoryStore
from launcher.plan.build import read_names
from launcher.upkeep.places import place_of
from tests.atb.documents.test_older_documents import KINDS, read_old
from tests.atb.documents.test_reading import DAMAGED
from tests.fuzz import check_line, few
from tests.fuzz.commands import run_words
from tests.launcher.upkeep.test_store_check import full_store

COMMANDS = [
    "atb-launch status r1",
    "atb-launch status r1 --output json",
    "atb-launch list",
    "atb-launch list --output json",
    "atb-launch why r1 BTCUSDT-fast",
    "atb-launch why r1 LTCUSDT-fast",
    "atb-launch collect r1",
    "atb-launch collect r1 --promote auto --demotion auto",
    "atb-launch clean r1",
    "atb-launch page",
    "atb-launch page r1",
    "atb-launch store check --output json",
    "atb-launch store check --repair",
    "atb models list",
    "atb models history BTCUSDT",
    "atb models show BTCUSDT",
    "atb models show r1/BTCUSDT-fast",
    "atb models evidence BTCUSDT",
    "atb models promote r1 BTCUSDT",
    "atb models rollback BTCUSDT",
    "atb models pull BTCUSDT ./pulled",
]
ODD: list[Any] = [
    None, True, "", 0, -1, 1e308, 2**63, 2**200, "x", "../../x", "/etc/passwd", "\x1b[2J", "\x9b2J", "a\nb",
    "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", [], {}, [[]], {"a": {}}, "x" * 5_000,
]  # fmt: skip


@functools.cache
def whole_store() -> dict[str, bytes]:
    """A store with a document of each kind."""
    store = full_store(MemoryStore())
    return {entry.key: store.get(entry.key) for entry in store.list("")}


DOCUMENTS = sorted(key for key in whole_store() if place_of(key) is not None)


def put_odd(value: Any, draw: st.DrawFn) -> Any:
    """The value with one of its parts, of any depth, replaced, taken away or doubled."""
    if isinstance(value, dict) and value and draw(st.integers(0, 3)):
        name = draw(st.sampled_from(sorted(value)))
        if not draw(st.integers(0, 5)):
            return {other: each for other, each in value.items() if other != name}
        return {**value, name: put_odd(value[name], draw)}
    if isinstance(value, list) and value and draw(st.integers(0, 3)):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], put_odd(value[place], draw), *value[place:]][: draw(st.integers(1, len(value) + 1))]
    return draw(st.sampled_from(ODD))


@st.composite
def altered(draw: st.DrawFn, whole: bytes) -> bytes:
    """Another content: cut, flipped, foreign, or with other values and no digest, as an earlier version wrote it."""
    match draw(st.sampled_from(["cut", "flipped", "foreign", "values", "values", "values"])):
        case "cut":
            return whole[: draw(st.integers(0, len(whole)))]
        case "flipped":
            place = draw(st.integers(0, len(whole) - 1))
            return whole[:place] + bytes([draw(st.integers(0, 255))]) + whole[place + 1 :]
        case "foreign":
            return draw(st.sampled_from(sorted(DAMAGED.values())) | st.binary(max_size=200))
    fields = {name: value for name, value in json.loads(whole).items() if name != "content_sha256"}
    return json.dumps(put_odd(fields, draw)).encode()


@given(st.data())
@few()
def test_whatever_a_document_is_every_command_goes_on_around_it(tmp_path: Path, data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(DOCUMENTS))
    content = data.draw(altered(whole_store()[key]))
    root = tmp_path / data.draw(st.uuids()).hex
    store = DirectoryStore(root)
    for other, whole in whole_store().items():
        store.put(other, content if other == key else whole)
    for words in data.draw(st.lists(st.sampled_from(COMMANDS), min_size=1, max_size=3)):
        run_words([*words.split(), "--store", str(root)], tmp_path)
    assert not (tmp_path / "x").exists()


@given(st.sampled_from(KINDS), st.data())
@few(2)
def test_any_content_is_a_document_or_one_line(kind: type[Document], data: st.DataObject) -> None:
    try:
        kind.from_bytes(data.draw(altered(read_old(kind))), "runs/r1/some.json")
    except Unreadable as error:
        check_line(error)


@given(st.data())
@few(2)
def test_any_spec_of_a_document_is_one_or_refused_in_one_line(data: st.DataObject) -> None:
    whole = resolve_spec("BTCUSDT", "fast", {"source": "sample"}).to_bytes()
    try:
        spec = Spec.from_bytes(data.draw(altered(whole)), "spec.json")
    except Unreadable as error:
        check_line(error)
        return
    assert len(spec.digest) == 64


@given(st.binary(max_size=200) | st.text(max_size=60).map(str.encode))
@few(2)
def test_any_file_of_symbols_is_names_or_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "symbols.txt").write_bytes(data)
    try:
        names, twice = read_names(f"@{tmp_path}/symbols.txt", "--symbols")
    except SpecError as error:
        check_line(error)
        return
    assert len(set(names)) == len(names)
    assert set(twice) <= set(names)
    with contextlib.suppress(SpecError):
        resolve_spec(names[0], "fast", {})


@given(st.text(max_size=80))
@few(2)
def test_any_text_that_may_name_a_run_is_one_part_of_a_key(text: str) -> None:
    try:
        run = validate_run(text)
    except SpecError as error:
        check_line(error)
        return
    assert run not in ("", ".", "..")
    assert "/" not in run
    assert run.isascii()
