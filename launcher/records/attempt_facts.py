"""What the store says of each job's attempts, for ``launcher.records.leases``: one list, and what is new is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from atb.contract import keys
from atb.documents.attempt import Claim, ExitReport, Verdict
from atb.errors import NotFound, SpecError
from atb.machine import is_gone
from atb.storage import Entry, Store
from launcher.records.leases import AttemptFacts, JobFacts

_D = TypeVar("_D", ExitReport, Verdict)
_ATTEMPT = re.compile(r"attempts/([1-9][0-9]{0,8})/(claim|exit)\.json")


@dataclass
class _Listed:
    """The objects of one job that decide."""

    done: bool = False
    claims: dict[int, Entry] = field(default_factory=dict)
    exits: dict[int, Entry] = field(default_factory=dict)
    verdict: Entry | None = None


class AttemptReader:
    """Reads one run, and remembers claims and reports. Not for sharing between threads."""

    def __init__(self, store: Store, run: str, gone: Callable[[str | None, int], bool] = is_gone) -> None:
        self._store, self._run, self._gone = store, run, gone
        self._claims: dict[str, Claim | None] = {}
        self._documents: dict[tuple[str, str], ExitReport | Verdict | None] = {}

    def read_all(self) -> dict[str, JobFacts]:
        """Every job that has started. Raises StoreError."""
        return self._read(self._store.list(keys.jobs_prefix(self._run)))

    def read_job(self, job: str, *, whole: bool = False) -> JobFacts:
        """One job as it is now; ``whole``: how each attempt ended even where it is done. Raises StoreError."""
        return self._read(self._store.list(keys.job_prefix(self._run, job)), whole=whole).get(job, JobFacts(job))

    def claim(self, job: str, number: int) -> Claim | None:
        """The owner of an attempt; None without one, or where a newer version wrote it. Raises StoreError."""
        key = keys.attempt(self._run, job, number, "claim.json")
        if self._claims.get(key) is None:
            try:
                self._claims[key] = Claim.from_bytes(self._store.get(key), key)
            except (NotFound, SpecError):
                self._claims[key] = None
        return self._claims[key]

    def _read(self, entries: Iterable[Entry], *, whole: bool = False) -> dict[str, JobFacts]:
        prefix = keys.jobs_prefix(self._run)
        listed: dict[str, _Listed] = {}
        for entry in entries:
            job, _, rest = entry.key[len(prefix) :].partition("/")
            found = listed.setdefault(job, _Listed())
            if rest == "result.json":
                found.done = True
            elif rest == "verdict.json":
                found.verdict = entry
            elif match := _ATTEMPT.fullmatch(rest):
                (found.claims if match[2] == "claim" else found.exits)[int(match[1])] = entry
        return {job: self._judge(job, found, whole=whole) for job, found in listed.items()}

    def _judge(self, job: str, listed: _Listed, *, whole: bool) -> JobFacts:
        numbers = sorted(listed.claims.keys() | listed.exits.keys())
        if listed.done and not whole:  # nothing else counts, so nothing else is read
            return JobFacts(job, True, tuple(AttemptFacts(number, 0.0) for number in numbers))
        attempts = tuple(self._attempt(job, number, listed) for number in numbers)
        if listed.done:
            return JobFacts(job, True, attempts)
        if listed.verdict is not None:
            verdict = self._document(listed.verdict, Verdict)
            if verdict is not None and verdict.attempts >= (numbers[-1] if numbers else 0):
                written = listed.verdict.modified.timestamp()
                return JobFacts(job, False, attempts, written, verdict.category, verdict.reason)
        return JobFacts(job, False, attempts)

    def _attempt(self, job: str, number: int, listed: _Listed) -> AttemptFacts:
        claimed = listed.claims[number].modified.timestamp() if number in listed.claims else 0.0
        ended = listed.exits.get(number)
        if ended is not None:
            report = self._document(ended, ExitReport)
            if report is None:  # a newer version's: it has ended, and we can't read how
                return AttemptFacts(number, claimed, ended.modified.timestamp())
            words = (report.code, report.category, report.message)
            return AttemptFacts(number, claimed, ended.modified.timestamp(), *words)
        claim = self.claim(job, number)
        gone = claim is not None and self._gone(claim.machine, claim.process)
        return AttemptFacts(number, claimed, gone=gone)

    def _document(self, entry: Entry, kind: type[_D]) -> _D | None:
        known = (entry.key, entry.etag)
        if known not in self._documents:
            try:
                self._documents[known] = kind.from_bytes(self._store.get(entry.key), entry.key)
            except (NotFound, SpecError):
                self._documents[known] = None
        found = self._documents[known]
        assert found is None or isinstance(found, kind)
        return found
