"""A run's results and forecasts as DataFrames."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atb.api.models import Model, model_of
from atb.api.stores import StoreLike, find_store
from atb.contract import keys
from atb.contract.runs import validate_run
from atb.documents.evidence import RunEvidence
from atb.documents.result import Result
from atb.errors import SpecError
from atb.registry.gate import failures, hold_to, passes
from atb.registry.pull import bundle_file, read_file
from atb.registry.weigh import read_evidence, shown_by_job
from atb.storage import Store

if TYPE_CHECKING:
    import pandas as pd

FORECASTS = "forecasts.parquet"


def open_run(run: str, store: StoreLike | None = None) -> Run:
    """A run of the store. Raises SpecError where there is none of that name, StoreError."""
    opened = find_store(store)
    if not any(True for _ in opened.list(keys.run_prefix(validate_run(run)))):
        raise SpecError(f"there is no run {run} in {opened.url}; see: atb-launch list")
    return Run(run, opened)


@dataclass(frozen=True)
class Run:
    """A run as the store has it now; each call reads it again."""

    run: str
    store: Store

    def results(self) -> pd.DataFrame:
        """One row per job, indexed by its id, with and without a result.

        Columns: ``state``, ``category`` and ``reason``; the spec's fields by name; the metrics by name (in price, on
        the test rows); ``BASELINE_METRIC`` for each baseline, such as ``persistence_rmse``; ``gate``, whether the
        gate's rules all passed, and ``gate_failures``, those that did not: at the bound of the whole run once it is
        collected, before that as if each job were alone. Raises StoreError.
        """
        import pandas as pd

        return pd.DataFrame(list(self._rows())).set_index("job")

    def evidence(self) -> RunEvidence | None:
        """The evidence of the run's models together when it was last collected: the bound, each candidate's e-value and
        the panel over symbols. None where it has not been collected."""
        return read_evidence(self.store, self.run)

    def forecasts(self, job: str) -> pd.DataFrame:
        """The forecasts of a job's model for its test rows: ``time`` (the last bar read), ``last_close``, ``forecast``
        and ``actual``, then baselines and bands where the bundle has them. Raises SpecError where there is no such job,
        no result, or a model from before forecasts were kept.
        """
        import pandas as pd

        result = self.result(job)
        data = read_file(self.store, bundle_file(result.files, FORECASTS, self.run))
        frame = pd.read_parquet(io.BytesIO(data))
        if "split" in frame:
            frame = frame[frame["split"] == "test"].drop(columns="split").reset_index(drop=True)
        first = ["time", "last_close", "forecast", "actual"]
        return frame[first + [name for name in frame if name not in first]]

    def result(self, job: str) -> Result:
        """The committed result of a job, by its id, or by its symbol where that names one job. Raises SpecError."""
        jobs = [name for name, _ in self._committed()]
        fitting = [name for name in jobs if name == job] or [name for name in jobs if name.rpartition("-")[0] == job]
        if len(fitting) != 1:
            what = "more than one" if fitting else "no"
            raise SpecError(f"run {self.run} has {what} result of {job}; it has {', '.join(fitting or jobs) or 'none'}")
        return dict(self._committed())[fitting[0]]

    def model(self, job: str) -> Model:
        """The model of a job, its files verified. Raises SpecError, StoreError."""
        return model_of(self.store, self.result(job))

    def _committed(self) -> Iterator[tuple[str, Result]]:
        for entry in self.store.list(keys.jobs_prefix(self.run)):
            name = entry.key.removeprefix(keys.jobs_prefix(self.run)).split("/")[0]
            if entry.key == keys.result(self.run, name):
                yield name, Result.from_bytes(self.store.get(entry.key), entry.key)

    def _rows(self) -> Iterator[dict[str, Any]]:
        from launcher.records.manifest import build_manifest
        from launcher.records.run_record import RunRecord

        if not list(self.store.list(keys.plan(self.run))):  # trained one by one
            for name, result in self._committed():
                yield {"job": name, "state": "done", "category": "", "reason": "", **_columns(result)}
            return
        record = RunRecord.load(self.store, self.run)
        specs = {planned.job: planned.spec for planned in record.plan.jobs}
        shown = shown_by_job(self.evidence())
        results = {each.job: each for each in record.read_results(self.store) if isinstance(each, Result)}
        for name in results.keys() & shown.keys():
            results[name] = results[name].model_copy(update={"gate": hold_to(results[name].gate, shown[name])})
        for job in build_manifest(record).jobs:
            what = {"job": job.job, "state": job.state, "category": job.category, "reason": job.reason}
            found = results.get(job.job)
            yield {**what, **(_columns(found) if found else specs[job.job].model_dump(exclude={"schema_version"}))}


def _columns(result: Result) -> dict[str, Any]:
    baselines = {
        f"{name}_{metric}": value for name, metrics in result.baselines.items() for metric, value in metrics.items()
    }
    gate = {"gate": passes(result.gate), "gate_failures": failures(result.gate)}
    return {**result.spec.model_dump(exclude={"schema_version"}), **result.metrics, **baselines, **gate}
