"""Keys in the store, computed here and nowhere else."""

from __future__ import annotations

import re
from datetime import datetime

from atb.contract.labels import safe_segment
from atb.contract.names import whole_number


def job_id(symbol: str, preset: str) -> str:
    """A job's id within its run: ``BTCUSDT-fast``."""
    return f"{safe_segment(symbol)}-{preset}"


def bars_prefix(source: str, market: str, symbol: str, timeframe: str) -> str:
    """Where the bar cache of one symbol lies."""
    return f"bars/{safe_segment(source)}/{market}/{safe_segment(symbol)}/{timeframe}/"


def bars_month(source: str, market: str, symbol: str, timeframe: str, month: str) -> str:
    """One month of bars; ``month`` is ``YYYY-MM``."""
    return f"{bars_prefix(source, market, symbol, timeframe)}{month}.parquet"


def bars_index(source: str, market: str, symbol: str, timeframe: str) -> str:
    """What the cached months of one symbol are, for readers without Parquet."""
    return f"{bars_prefix(source, market, symbol, timeframe)}index.json"


def bars_claim(source: str, market: str, symbol: str, timeframe: str) -> str:
    """The claim of whoever is fetching months of this symbol."""
    return f"{bars_prefix(source, market, symbol, timeframe)}claim"


INDEX = "index.html"
"""The page of the whole store."""
RUNS = "runs/"
"""All runs."""


def run_prefix(run: str) -> str:
    """Everything of one run."""
    return f"runs/{run}/"


def plan(run: str) -> str:
    """Written before anything is started; changed by ``--resume`` where a skipped job's result is gone, and by another
    ``atb train`` of the same run."""
    return f"runs/{run}/plan.json"


def manifest(run: str) -> str:
    """Collected; can be rebuilt from the results at any time."""
    return f"runs/{run}/manifest.json"


def launcher(run: str) -> str:
    """Written again every few seconds by the launcher that follows a run."""
    return f"runs/{run}/launcher.json"


def run_evidence(run: str) -> str:
    """The evidence of the run's candidates together, as of its latest collection."""
    return f"runs/{run}/evidence.json"


def report(run: str) -> str:
    """The run's page for people."""
    return f"runs/{run}/report.html"


def metrics(run: str) -> str:
    """The run in numbers, as OpenMetrics text."""
    return f"runs/{run}/metrics.txt"


def comparison(run: str, ending: str) -> str:
    """What ``atb compare`` found: ``json`` for programs, ``png`` for people."""
    return f"runs/{run}/comparison.{ending}"


def progress_prefix(run: str) -> str:
    """One small object per job, so that one list shows which have moved."""
    return f"runs/{run}/progress/"


def progress(run: str, job: str) -> str:
    """Where a job reports its progress."""
    return f"runs/{run}/progress/{job}.json"


def worker(run: str, name: str) -> str:
    """A worker's heartbeat and what it has done."""
    return f"{workers_prefix(run)}{name}.json"


def workers_prefix(run: str) -> str:
    """All workers of one run."""
    return f"runs/{run}/workers/"


def jobs_prefix(run: str) -> str:
    """All jobs of one run."""
    return f"runs/{run}/jobs/"


def job_prefix(run: str, job: str) -> str:
    """Everything of one job."""
    return f"runs/{run}/jobs/{job}/"


def attempts_prefix(run: str, job: str) -> str:
    """Everything that attempts leave beside a result."""
    return f"runs/{run}/jobs/{job}/attempts/"


def attempt(run: str, job: str, number: int, name: str) -> str:
    """One attempt's claim.json, log.txt, exit.json or checkpoint.npz."""
    return f"runs/{run}/jobs/{job}/attempts/{number}/{name}"


def bundle(run: str, job: str, number: int, path: str) -> str:
    """One file of a bundle. The attempt is part of the key: a straggler can't touch what another has committed. They
    are most of a run's objects, and lie apart from its documents, which are listed all the time."""
    return f"runs/{run}/bundles/{job}/{number}/{path}"


def owner(bundle_key: str) -> tuple[str, str] | None:
    """The run and the job whose bundle a key lies in, also one of earlier versions; None for any other key."""
    match bundle_key.split("/"):
        case ["runs", run, "bundles", job, _, _, *_] | ["runs", run, "jobs", job, "bundle", _, _, *_]:
            return run, job
    return None


def result(run: str, job: str) -> str:
    """Written last: the commit marker."""
    return f"runs/{run}/jobs/{job}/result.json"


def verdict(run: str, job: str) -> str:
    """Why a job failed, where no attempt could report it: out of memory, never scheduled, no image."""
    return f"runs/{run}/jobs/{job}/verdict.json"


def memory_prefix() -> str:
    """What jobs needed that once ran out of memory."""
    return "memory/"


def memory(symbol: str, timeframe: str, preset: str) -> str:
    """The memory one symbol and preset needed after an attempt ran out of it."""
    return f"memory/{safe_segment(symbol)}/{timeframe}/{preset}.json"


RESULTS = "results/"
"""Hints where results are."""


def result_index(spec_digest: str) -> str:
    """Where the latest committed result of a spec is; a hint that can be lost without harm."""
    return f"{RESULTS}{spec_digest}.json"


def model_prefix(
    symbol: str, timeframe: str, preset: str, target: str = "return", horizon: int = 1, market: str = "spot"
) -> str:
    """Everything about the champions of one symbol, timeframe, preset, target, horizon and market."""
    what = model_kind(target, horizon, market)
    return f"models/{safe_segment(symbol)}/{timeframe}/{preset}/{f'{what}/' if what else ''}"


def model_kind(target: str, horizon: int, market: str) -> str:
    """The folder of a model key's last three fields: ``volatility-24``, ``um-return-1``; empty for the usual ones."""
    kind = "" if (target, horizon, market) == ("return", 1, "spot") else f"{target}-{horizon}"
    return kind if market == "spot" else f"{market}-{kind}"


def parse_model_kind(folder: str) -> tuple[str, int, str] | None:
    """The target, horizon and market that such a folder names; None for any other folder."""
    match folder.split("-"):
        case [target, digits] if target and (horizon := whole_number(digits)) is not None:
            return target, horizon, "spot"
        case [market, target, digits] if market and target and (horizon := whole_number(digits)) is not None:
            return target, horizon, market
    return None


CHAMPION = "current.json"
"""Within a model's prefix: the champion's pointer, moved only by compare-and-swap."""
CHAMPION_HISTORY = "history/"
"""Within a model's prefix: every decision about it, in order of time, as ``history/{time}-{run}.json``."""


def decision(model: str, time: datetime, run: str) -> str:
    """One entry of the history of a model key, whose ``model_prefix`` is ``model``; written once."""
    return f"{model}{CHAMPION_HISTORY}{time:%Y%m%dT%H%M%S.%fZ}-{run}.json"


_DECISION = re.compile(r".*/[0-9]{8}T[0-9]{6}\.[0-9]{6}Z-[A-Za-z0-9._-]+\.json")
_NUMBERED = re.compile(r"([0-9]{8,12})\.json")


def is_decision(key: str) -> bool:
    """Whether a key is one that ``decision`` makes: people and programs leave other files beside documents."""
    return _DECISION.fullmatch(key) is not None


def entry_number(key: str) -> int | None:
    """The number of a ``ledger_entry`` or ``record_entry``; None for what lies beside them."""
    match = _NUMBERED.fullmatch(key.rpartition("/")[2])
    return int(match[1]) if match else None


def ledger_prefix(model: str) -> str:
    """The ledger of evidence of a model key, whose ``model_prefix`` is ``model``, in order of its entries."""
    return f"{model}evidence/"


def ledger_entry(model: str, number: int) -> str:
    """One entry of the ledger, from 1, written once."""
    return f"{ledger_prefix(model)}{number:08}.json"


def record_prefix(model: str) -> str:
    """The record of what serves a model key, in order of its entries."""
    return f"{model}record/"


def record_entry(model: str, number: int) -> str:
    """One entry of the record, from 1, written once."""
    return f"{record_prefix(model)}{number:08}.json"


SIGNALS = "signals/"
"""Forecasts of champions."""


def signal(model: str, closed: datetime) -> str:
    """The forecast that the champion of a model key, whose ``model_prefix`` is ``model``, made from the bars that had
    closed at that time; written once."""
    return f"{SIGNALS}{model.removeprefix('models/')}{closed:%Y%m%dT%H%M%SZ}.json"


def champions_prefix(symbol: str | None = None) -> str:
    """Where all champions lie, or those of one symbol."""
    return "models/" if symbol is None else f"models/{safe_segment(symbol)}/"


QUARANTINE = "quarantine/"
"""Unreadable objects that were moved out of the way; safe to delete."""


def quarantine(key: str, sha256: str) -> str:
    """Where an object is moved to; its content is part of the name, so that two never meet."""
    return f"{QUARANTINE}{key}@{sha256[:12]}"
