"""docs/schemas/ is what the documents are."""

from __future__ import annotations

import importlib
import json
import pkgutil

import jsonschema
import pytest

import atb.documents
from atb.documents.champion import Champion
from atb.documents.evidence import TestRows
from atb.documents.result import Result
from atb.registry.promote import evaluate_candidate
from atb.schema import Document
from atb.storage import MemoryStore
from tests.atb.documents.test_older_documents import KINDS as OLDER
from tests.atb.documents.test_older_documents import read_old
from tests.atb.registry.candidates import SHOWN, commit, make_test_rows
from tools.schemas import FOLDER, KINDS, files, schema_of


def test_every_file_is_current() -> None:
    assert {path: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()} == files(), "run: make reference"


def test_every_kind_of_document_has_its_schema() -> None:
    kinds = {
        each.kind
        for found in pkgutil.iter_modules(atb.documents.__path__)
        for each in vars(importlib.import_module(f"atb.documents.{found.name}")).values()
        if isinstance(each, type) and issubclass(each, Document) and each is not Document
    }
    assert kinds == {each.kind for each in KINDS}


@pytest.mark.parametrize("kind", OLDER)
def test_a_document_of_an_earlier_minor_version_fits(kind: type[Document]) -> None:
    jsonschema.validate(json.loads(read_old(kind)), schema_of(kind), jsonschema.Draft202012Validator)


def test_documents_as_they_are_written_now_fit() -> None:
    store = MemoryStore()
    result = commit(store)
    evaluate_candidate(store, result, SHOWN, by="me", why="")
    written: dict[type[Document], bytes] = {Result: result.to_bytes(), TestRows: make_test_rows().to_bytes()}
    written |= {Champion: store.get("models/BTCUSDT/1h/fast/current.json")}
    for kind, data in written.items():
        validator = jsonschema.Draft202012Validator(schema_of(kind))
        validator.validate(json.loads(data))
        assert not validator.is_valid({**json.loads(data), "schema_version": "2.0"})
        assert set(json.loads(data)) <= set(schema_of(kind)["properties"])
