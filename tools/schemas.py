"""Write docs/schemas/: each document of the store as JSON Schema, from its pydantic model.

python -m tools.schemas
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from atb.contract.spec import Spec
from atb.documents.attempt import Claim, ExitReport, MemoryNeed, Progress, Verdict
from atb.documents.bars_index import BarsIndex
from atb.documents.champion import Champion, HistoryEntry, Signal
from atb.documents.comparison import Comparison
from atb.documents.evidence import LedgerEntry, RunEvidence, TestRows
from atb.documents.launcher import LauncherState
from atb.documents.manifest import Manifest
from atb.documents.plan import Plan
from atb.documents.record import RecordEntry
from atb.documents.result import Result, ResultPointer
from atb.documents.worker import WorkerState
from atb.schema import Document

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "schemas"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"

KINDS: dict[type[Document], str] = {
    Spec: "part of plan and result",
    Plan: "runs/{run}/plan.json",
    Manifest: "runs/{run}/manifest.json",
    Result: "runs/{run}/jobs/{job}/result.json",
    TestRows: "evidence.json of a bundle",
    Verdict: "runs/{run}/jobs/{job}/verdict.json",
    Claim: "runs/{run}/jobs/{job}/attempts/{n}/claim.json",
    ExitReport: "runs/{run}/jobs/{job}/attempts/{n}/exit.json",
    Progress: "runs/{run}/progress/{job}.json",
    RunEvidence: "runs/{run}/evidence.json",
    Comparison: "runs/{run}/comparison.json",
    LauncherState: "runs/{run}/launcher.json",
    WorkerState: "runs/{run}/workers/{worker}.json",
    Champion: "models/…/current.json",
    HistoryEntry: "models/…/history/{time}-{run}.json",
    LedgerEntry: "models/…/evidence/{n}.json",
    RecordEntry: "models/…/record/{n}.json",
    Signal: "signals/…/{time}.json",
    ResultPointer: "results/{spec_digest}.json",
    MemoryNeed: "memory/…/{preset}.json",
    BarsIndex: "bars/…/index.json",
}
"""Each kind of document and where it lies in a store."""


def schema_of(kind: type[Document]) -> dict[str, Any]:
    """The JSON Schema of a document as it is written. Readers tolerate unknown fields."""
    found = kind.model_json_schema(by_alias=True)
    title = found.pop("title")
    _tidy(found)
    version = {"type": "string", "pattern": rf"^{kind.major}\.", "description": "Major and minor version."}
    digest = {
        "type": "string",
        "pattern": "^[0-9a-f]{64}$",
        "description": "sha256 of the document as it is written, with 64 zeros in this place.",
    }
    properties = {"schema_version": version} | ({"content_sha256": digest} if kind.sealed else {})
    properties |= {name: each for name, each in found["properties"].items() if name != "schema_version"}
    required = ["schema_version", *(name for name in found.get("required", ()) if name != "schema_version")]
    return {"$schema": _DIALECT, "title": title, **found, "properties": properties, "required": required}


def files() -> dict[Path, str]:
    """Every file of the folder with its content."""
    schemas = {FOLDER / f"{kind.kind}.json": f"{_dump(schema_of(kind))}\n" for kind in KINDS}
    return {**schemas, FOLDER / "README.md": "\n".join(_contents()) + "\n"}


def _contents() -> Iterator[str]:
    yield "# Documents in the store"
    yield ""
    yield "<!-- written by make reference -->"
    yield ""
    yield (
        "Every document is JSON with a `schema_version`; this version of atb reads all of the same major version. "
        "Fields may be added within a major version, so a reader should ignore those that it does not know. "
        "[design.md](../design.md#keys-in-the-store) explains the keys."
    )
    yield ""
    yield "| document | where it is | what it is |"
    yield "|---|---|---|"
    for kind, where in KINDS.items():
        first = re.split(r"(?<=[.:])\s", " ".join(_plain(inspect.getdoc(kind) or "").split()))[0].rstrip(":.")
        yield f"| [`{kind.kind}`]({kind.kind}.json) | `{where}` | {first} |"


def _tidy(node: Any) -> None:
    """Descriptions as plain text on one line, without the marks of docstrings; no titles that repeat a name."""
    if isinstance(node, dict):
        if isinstance(node.get("title"), str):
            del node["title"]
        if isinstance(node.get("description"), str):
            node["description"] = " ".join(_plain(node["description"]).split())
        for child in node.values():
            _tidy(child)
    elif isinstance(node, list):
        for child in node:
            _tidy(child)


def _plain(text: str) -> str:
    return text.replace("``", "`")


def _dump(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False)


def write_schemas() -> None:
    """Write every file of the folder."""
    FOLDER.mkdir(exist_ok=True)
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
