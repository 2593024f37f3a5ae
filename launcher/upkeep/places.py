"""Which document belongs at a key, and which identity it must have there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from atb.contract import keys
from atb.contract.runs import is_run_name
from atb.documents.attempt import Claim, ExitReport, MemoryNeed, Progress, Verdict
from atb.documents.bars_index import BarsIndex
from atb.documents.champion import Champion, HistoryEntry, Signal
from atb.documents.comparison import Comparison
from atb.documents.evidence import LedgerEntry, RunEvidence
from atb.documents.launcher import LauncherState
from atb.documents.manifest import Manifest
from atb.documents.plan import Plan
from atb.documents.record import RecordEntry
from atb.documents.result import Result, ResultPointer
from atb.documents.worker import WorkerState
from atb.schema import Document

Care = Literal["keep", "set aside", "make again", "replace", "drop"]
"""What a repair does with one that can't be read: leave it where nothing can stand in for it; move it away; move it
away and make it again; put another in its place at once, since its place must not be free; move it away, since it is a
hint that is rewritten."""


@dataclass(frozen=True)
class Place:
    """A document's kind, its identity, and what happens to one that can't be read. ``then`` is for people."""

    kind: type[Document]
    care: Care
    then: str
    identity: Mapping[str, object] = field(default_factory=dict)


_RESUME = "resume with: atb-launch --resume {run}"
_NUMBER = re.compile("[1-9][0-9]{0,8}")
_SIGNAL = re.compile(r"[0-9]{8}T[0-9]{6}Z\.json")
_POINTER = re.compile(r"[0-9a-f]{64}\.json")
_HINT = "nothing: it comes again by itself"


def place_of(key: str) -> Place | None:
    """The document that belongs at a key; None where no document does, such as for what a person has left there."""
    match key.split("/"):
        case ["runs", run, *rest] if is_run_name(run):
            return _of_run(run, rest)
        case ["models", _, _, _, "current.json"] | ["models", _, _, _, _, "current.json"]:
            return Place(Champion, "set aside", "promote again with: atb models promote RUN SYMBOL")
        case ["models", _, _, _, *_, "history", _] if keys.is_decision(key):
            return Place(HistoryEntry, "keep", "restore it from a backup: nothing else says what was decided")
        case ["models", symbol, _, preset, *_, "evidence", _] if (number := keys.entry_number(key)) is not None:
            then = "restore it from a backup: nothing else says which rows were spent"
            return Place(LedgerEntry, "keep", then, {"number": number, "job": f"{symbol}-{preset}"})
        case ["models", _, _, _, *_, "record", _] if (number := keys.entry_number(key)) is not None:
            then = "nothing: the next run scores the champion again"
            return Place(RecordEntry, "set aside", then, {"number": number})
        case ["signals", _, _, _, *_, name] if _SIGNAL.fullmatch(name):
            return Place(Signal, "set aside", "nothing: the next forecasts have their own places")
        case ["results", name] if _POINTER.fullmatch(name):
            return Place(ResultPointer, "drop", _HINT)
        case ["memory", _, _, name] if name.endswith(".json"):
            return Place(MemoryNeed, "drop", _HINT)
        case ["bars", *_, "index.json"]:
            return Place(BarsIndex, "drop", _HINT)
    return None


def _of_run(run: str, rest: list[str]) -> Place | None:
    resume = _RESUME.format(run=run)
    match rest:
        case ["plan.json"]:
            return Place(Plan, "keep", "restore it from a backup, or train again under another --run", {"run": run})
        case ["manifest.json"]:
            return Place(Manifest, "make again", f"make it again with: atb-launch collect {run}", {"run": run})
        case ["evidence.json"]:
            then = f"collect again with: atb-launch collect {run}"
            return Place(RunEvidence, "drop", then, {"run": run})
        case ["comparison.json"]:
            return Place(Comparison, "set aside", "compare again with: atb compare", {"run": run})
        case ["launcher.json"]:
            return Place(LauncherState, "drop", _HINT)
        case ["progress", name] if name.endswith(".json"):
            return Place(Progress, "drop", _HINT)
        case ["workers", name] if name.endswith(".json"):
            return Place(WorkerState, "drop", _HINT, {"worker": name.removesuffix(".json")})
        case ["jobs", job, "result.json"]:
            return Place(Result, "set aside", resume, {"run": run, "job": job})
        case ["jobs", job, "verdict.json"]:
            return Place(Verdict, "set aside", resume, {"job": job})
        case ["jobs", _, "attempts", number, "claim.json"] if _NUMBER.fullmatch(number):
            return Place(Claim, "replace", resume)
        case ["jobs", _, "attempts", number, "exit.json"] if _NUMBER.fullmatch(number):
            return Place(ExitReport, "set aside", resume)
    return None
