"""What must hold in every simulation: at each write, after each step, and at the end."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from atb.contract import keys, labels
from atb.documents.attempt import MemoryNeed, Verdict
from atb.documents.champion import Champion
from atb.documents.record import RecordEntry
from atb.documents.result import Result
from atb.errors import AtbError
from atb.registry.champions import ModelKey, read_history
from atb.registry.ledger import read_entries
from atb.storage.read import read_document
from launcher.kubernetes.api.client import RETRY_SECONDS
from launcher.kubernetes.api.quantity import parse_quantity
from launcher.kubernetes.objects.jobs import owner_name
from launcher.records.categories import CATEGORIES
from launcher.records.promotion import Promotion
from launcher.records.run_record import RunRecord
from tests.simulation.job_rules import JobRules
from tests.simulation.kernel import Process
from tests.simulation.object_store import frozen_view
from tests.simulation.registry import behind
from tests.simulation.trainings import ROWS
from tests.simulation.upkeep import watch_repairs

if TYPE_CHECKING:
    from tests.simulation.night import Night

NOTICE_SECONDS = 2 * RETRY_SECONDS
"""How long a launcher may take to notice a cancel and to delete what it created meanwhile."""
_ONCE = re.compile(r"/(result\.json|claim\.json|history/[^/]+)$")


class Invariants:
    """Checks one simulation, and collects the violations."""

    def __init__(self, night: Night) -> None:
        self.violations: list[str] = []
        self._night = night
        self._view = frozen_view(night.store)
        self._marked_at: float | None = None
        self._late: list[tuple[str, Process, float]] = []
        """Jobs that were created after a cancel, by whom and when."""
        self.was_cancelled = False
        self.cleaning_since = 0.0
        self._rules = JobRules(night)
        self._results: dict[bytes, Result] = {}
        """What was read of them before."""
        self._moves: dict[str, list[str]] = {}
        """By pointer, the entries that it has named, in order."""
        self._rollbacks: list[tuple[ModelKey, str]] = []
        night.store.on_write = self._on_write
        night.server.on_request = self._on_request
        watch_repairs(night.store, self.violate)

    def violate(self, what: str) -> None:
        """Note a violation."""
        self._night.kernel.log("VIOLATION", what)
        self.violations.append(f"{self._night.kernel.time:.3f} {what}")

    # at each write

    def _on_write(self, key: str, old: bytes | None, new: bytes) -> None:
        if old is not None and old != new and _ONCE.search(key) and key not in self._night.store.spoiled:
            self.violate(f"{key} is changed, which is written once")
        if key.endswith(keys.CHAMPION):
            champion = _read_pointer(new, key)
            for file in champion.files:
                there = self._night.store.objects.get(file.key)
                if there is None or hashlib.sha256(there[0]).hexdigest() != file.sha256:
                    self.violate(f"{key} names {file.key}, which is not there as it was")
            if champion.entry not in self._night.store.objects:
                self.violate(f"{key} names {champion.entry}, which is not written")
            self._moves.setdefault(key, []).append(champion.entry)
        if key.startswith(keys.memory_prefix()):
            need, most = MemoryNeed.from_bytes(new, key).memory, self._night.options.max_memory
            if parse_quantity(need) > parse_quantity(most):
                self.violate(f"{key} remembers {need}, more than {most}")

    def _on_request(self, process: Process, method: str, path: str, body: Any) -> None:
        if method == "PATCH" and path.endswith(owner_name("night")):
            notes = body["metadata"].get("annotations", {})
            if labels.CANCELLED_ANNOTATION in notes:
                self._marked_at = None if notes[labels.CANCELLED_ANNOTATION] is None else self._night.kernel.time
                self._late.clear()
                self.was_cancelled |= self._marked_at is not None
        found: list[str] = []
        if method == "DELETE" and "/jobs/" in path:
            found = self._rules.check_removed(process, path.rpartition("/")[2])
        if method == "DELETE" and path.endswith(owner_name("night")):
            found = self._rules.check_cleaned(process, self.cleaning_since)
            self._marked_at = None
            self._late.clear()
        if method == "POST" and path.endswith("/jobs"):
            name, now = body["metadata"]["name"], self._night.kernel.time
            if self._night.server.find("jobs", name) is None:
                found = self._rules.check_created(process, body)
            if self._marked_at is not None and self._night.server.find("jobs", name) is None:
                self._late.append((name, process, now))
        for wrong in found:
            self.violate(wrong)

    # at the end of a run

    def check_run(self) -> None:
        """Every job is accounted for, within its budgets, and says why where it has no result."""
        night, view = self._night, self._view
        launcher = night.launchers[-1]
        if launcher.error is not None:
            self.violate(f"without faults {launcher.process.name} fails: {launcher.error}")
        found = launcher.found or {}
        cancelled = self._marked_at is not None
        for planned in night.plan.jobs:
            one = found.get(planned.job)
            committed = keys.result(night.plan.run, planned.job) in night.store.objects
            if one is None or not one.final:
                self.violate(f"{planned.job} is not accounted for: {one}")
            elif committed != (one.state == "done"):
                self.violate(f"{planned.job} is {one.state}, and a result is {'there' if committed else 'absent'}")
            elif not committed:
                if one.category not in CATEGORIES:
                    self.violate(f"{planned.job} ends in {one.category!r}, which is no category")
                self._check_verdict(view, planned.job, one.category)
            if committed:
                data = night.store.objects[keys.result(night.plan.run, planned.job)][0]
                if data not in self._results:
                    self._results[data] = Result.from_bytes(data, planned.job)
                self._check_files(self._results[data])
        self._check_jobs(cancelled)
        for name, process, at in self._late if cancelled else ():
            if process.ended_at > at + NOTICE_SECONDS > process.paused_until and name in night.server.objects["jobs"]:
                self.violate(f"Job {name} was created {at - (self._marked_at or 0):.0f} s after a cancel, and stays")
        self._check_requests()

    def check_record(self, record: RunRecord) -> None:
        """What is read of the run afterwards has every job."""
        lost = {planned.job for planned in self._night.plan.jobs} - set(record.jobs)
        if lost:
            self.violate(f"the record of the run knows nothing of {sorted(lost)}")

    def _check_verdict(self, view: Any, job: str, category: str) -> None:
        key = keys.verdict(self._night.plan.run, job)
        try:
            verdict = Verdict.from_bytes(view.get(key), key)
        except AtbError as error:
            self.violate(f"{job} ends without a verdict: {error}")
            return
        if verdict.category != category:
            self.violate(f"{job} ends in {category}, and its verdict says {verdict.category}")

    def _check_files(self, result: Result) -> None:
        for file in result.files:
            there = self._night.store.objects.get(file.key)
            if there is None or hashlib.sha256(there[0]).hexdigest() != file.sha256:
                self.violate(f"{result.job} has a result that names {file.key}, which is not there as it was")

    def _check_jobs(self, cancelled: bool) -> None:
        night, options = self._night, self._night.options
        for name, job in night.server.objects["jobs"].items():
            notes = job["metadata"]["annotations"]
            live = not any(each["type"] in ("Complete", "Failed") for each in job["status"].get("conditions", []))
            if live:
                self.violate(f"Job {name} still lives" + (" after a cancel" if cancelled else ""))
            if int(notes[labels.OOM_ANNOTATION]) > options.oom_retries:
                self.violate(f"Job {name} is beyond the budget of memory")
            if int(notes[labels.INFRASTRUCTURE_ANNOTATION]) > options.infrastructure_retries:
                self.violate(f"Job {name} is beyond the budget of nodes")

    def _check_requests(self) -> None:
        night = self._night
        minutes, launchers = night.kernel.time / 60, len(night.launchers)
        most = 200 * launchers + 40 * night.jobs + 60 * minutes
        if night.server.requests > most:
            self.violate(f"{night.server.requests} requests to the API server, more than {most:.0f}")
        if night.store.requests > 100 * launchers + 100 * night.jobs + 20 * minutes * launchers:
            self.violate(f"{night.store.requests} requests to the store")

    # promotion

    def check_promotion(self, promotion: Promotion, *, alone: bool) -> None:
        """Who is alone loses to nobody, and who promoted serves."""
        night = self._night
        if alone and promotion.decided == "refused" and "did not answer" not in promotion.reason:
            self.violate(f"{promotion.job}: alone, and refused: {promotion.reason}")
        rivals = night.moves and any("roll" in each.name or "demo" in each.name for each in night.collectors)
        if promotion.decided == "promoted" and not rivals:
            planned = next(each for each in night.plan.jobs if each.job == promotion.job)
            serving = self._serving(ModelKey.of(planned.spec))
            if serving is None or serving.run != night.plan.run:
                self.violate(f"{promotion.job} is said to be promoted and does not serve")

    def check_rollback(self, model_key: ModelKey, served: Champion) -> None:
        """Who was told that a model serves again: its pointer has moved there, and its history says so to the end."""
        if served.entry not in self._moves.get(model_key.pointer, []):
            self.violate(f"{model_key} is said to be rolled back by {served.entry}, and never was")
        self._rollbacks.append((model_key, served.entry))

    def _serving(self, model_key: ModelKey) -> Champion | None:
        there = self._night.store.objects.get(model_key.pointer)
        champion = None if there is None else _read_pointer(there[0], model_key.pointer)
        return None if champion is None or champion.vacant else champion

    def check_registry(self) -> None:
        """Each candidate is decided once, and serves where its decision says so."""
        night, view = self._night, self._view
        histories = {planned.job: read_history(view, ModelKey.of(planned.spec)) for planned in night.plan.jobs}
        taken = {each.key for history in histories.values() for each in history if each.effect != "never took effect"}
        for model_key, entry in self._rollbacks:
            if entry not in taken:
                self.violate(f"{model_key} was rolled back by {entry}, which never took effect")
        for planned in night.plan.jobs:
            model_key, history = ModelKey.of(planned.spec), histories[planned.job]
            committed = keys.result(night.plan.run, planned.job) in night.store.objects
            effective = [each for each in history if each.effect != "never took effect"]
            moves = [each for each in effective if each.entry.action != "decline"]
            served = [each.key for each in moves if each.key not in night.left_before]
            if served != [each for each in self._moves.get(model_key.pointer, []) if each not in night.left_before]:
                self.violate(f"the history of {model_key} is not that of its pointer")
            if len({each.entry.replaced for each in moves}) < len(moves):
                self.violate(f"a champion of {model_key} was replaced twice")
            decided = [each for each in effective if each.entry.run == night.plan.run]
            decided = [each for each in decided if each.entry.action in ("promote", "decline")]
            if len(decided) > len({each.entry.replaced for each in decided}):
                self.violate(f"{planned.job} was decided {len(decided)} times")
            if sum(each.entry.action == "promote" for each in decided) > 1:
                self.violate(f"{planned.job} was promoted twice")
            if committed and not decided:
                self.violate(f"{planned.job} was never decided")
            spent = read_entries(self._view, model_key)
            if committed and (len(spent) != 1 or spent[0].total_rows != ROWS):
                self.violate(f"{planned.job} has spent its rows {len(spent)} times")
            if committed and self._serving(model_key) is None:
                self.violate(f"{planned.job} passed and does not serve")
        for planned in behind(night.jobs) if night.moves else ():
            history, champion = histories[planned.job], self._serving(ModelKey.of(planned.spec))
            record = read_document(view, RecordEntry, keys.record_entry(ModelKey.of(planned.spec).prefix, 1))
            if champion is not None and champion.entry == record.champion:
                self.violate(f"{planned.job}: a champion that is behind still serves")
            demoted = [each for each in history if each.entry.action == "demote" and each.effect != "never took effect"]
            if len(demoted) > 1:
                self.violate(f"{planned.job} was demoted {len(demoted)} times")


@lru_cache(512)
def _read_pointer(data: bytes, key: str) -> Champion:
    """A champion's pointer, parsed once: what is written is read again later."""
    return Champion.from_bytes(data, key)
