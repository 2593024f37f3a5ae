"""The run's page: one HTML file that needs nothing else, made from the record of the run and the results it names."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from atb.contract import bundle, keys
from atb.documents.comparison import Comparison
from atb.documents.manifest import Manifest
from atb.documents.plan import Plan
from atb.documents.result import Result
from atb.errors import AtbError, NotFound, Unreadable
from atb.options.stores import store_words
from atb.registry.record import Live, scan_records
from atb.registry.weigh import read_evidence
from atb.render import render
from atb.storage import Store
from atb.storage.read import read_document
from launcher.records.manifest import build_manifest
from launcher.records.run_record import READERS, RunRecord
from launcher.report.together import Together, build_together, decide_gates
from launcher.report.views.compared import Compared, build_compared
from launcher.report.views.model_details import Curves
from launcher.report.views.page_model import build_page

MOST_DETAILS = 500
"""Models that have details: of more, those with the most skill. The others have their rows."""
MOST_DRAWN = 60
"""Models whose curves are drawn: of more, those with the most skill. The others link to their plots."""


def write_report(
    store: Store, record: RunRecord, manifest: Manifest | None = None, lives: Sequence[Live] | None = None
) -> str:
    """Make the page of a run and write it next to the manifest. What was made or read already: ``manifest``, and
    ``lives``, the champions of the run's model keys. Returns the page's key. Raises StoreError."""
    problems: list[Unreadable] = []
    evidence = read_evidence(store, record.plan.run, problems)
    manifest = decide_gates(manifest or build_manifest(record), evidence)
    key = keys.report(manifest.run)
    results = read_detailed(store, record, manifest)
    with ThreadPoolExecutor(READERS) as pool:
        drawn = sorted(results.values(), key=lambda result: -result.metrics.get("skill", 0.0))[:MOST_DRAWN]
        read = pool.map(lambda result: _read_curves(store, result), drawn)
        curves = dict(zip((result.job for result in drawn), read, strict=True))
    if lives is None:
        lives = scan_records(store, record.model_keys)
    serving = {(live.champion.run, live.champion.job) for live in lives if live.champion is not None}
    promoted = {job: (result.run, result.job) in serving for job, result in results.items()}
    together = build_together(evidence, lives)
    compared = _read_compared(store, manifest.run, problems)
    words = tuple(map(str, problems))
    page = render_page(record.plan, manifest, results, curves, promoted, store_words(store), together, compared, words)
    store.put(key, page.encode())
    return key


def read_detailed(store: Store, record: RunRecord, manifest: Manifest) -> dict[str, Result]:
    """The results whose details are on the page, by job."""
    done = [job for job in manifest.jobs if job.result is not None]
    best = sorted(done, key=lambda job: -job.metrics.get("skill", 0.0))[:MOST_DETAILS]
    chosen = {job.job for job in best}
    own = [job.job for job in done if job.job in chosen and job.state == "done"]
    found = {each.job: each for each in record.read_results(store, own) if isinstance(each, Result)}
    for job in done:
        if job.job in chosen and job.state == "skipped" and job.result is not None:
            try:
                found[job.job] = read_document(store, Result, job.result)
            except (NotFound, Unreadable):
                continue  # a skipped job's earlier run may have been removed since
    return {job.job: found[job.job] for job in done if job.job in found}


def render_page(
    plan: Plan,
    manifest: Manifest,
    results: Mapping[str, Result],
    curves: Mapping[str, Curves],
    promoted: Mapping[str, bool],
    where: Sequence[str],
    together: Together | None = None,
    compared: Compared | None = None,
    problems: tuple[str, ...] = (),
) -> str:
    """The page. ``results``, ``curves`` and ``promoted`` are by job and may lack some; ``problems`` are those beside
    the manifest's."""
    page = build_page(plan, manifest, results, curves, promoted, where)
    page = replace(page, together=together, compared=compared, problems=(*page.problems, *problems))
    return render("launcher.report", "report.html.j2", page=page)


def _read_compared(store: Store, run: str, problems: list[Unreadable]) -> Compared | None:
    """What ``atb compare`` found; None for a run of anything else, or where it can't be read."""
    try:
        return build_compared(read_document(store, Comparison, keys.comparison(run, "json"), run=run))
    except Unreadable as problem:
        problems.append(problem)
    except NotFound:
        pass
    return None


_LARGEST_HISTORY = 64 << 20


def _items(found: object) -> Iterator[tuple[str, object]]:
    if isinstance(found, dict):
        yield from ((str(name), values) for name, values in found.items())


def _numbers_of(values: object) -> list[float]:
    """A curve's values; none if one of them is not finite."""
    if not isinstance(values, list):
        return []
    numbers = [float(each) for each in values if isinstance(each, int | float) and math.isfinite(each)]
    return numbers if len(numbers) == len(values) else []


def _read_curves(store: Store, result: Result) -> Curves:
    history, shown = _read_object(store, result, bundle.HISTORY), _read_object(store, result, bundle.SHOWN)
    level = shown.get("level")
    curves = {name: numbers for name, values in shown.items() if (numbers := _numbers_of(values))}
    lengths = {len(values) for values in curves.values()}
    return Curves(
        history={name: numbers for name, values in history.items() if (numbers := _numbers_of(values))},
        shown=curves if len(lengths) == 1 else {},
        level=float(level) if isinstance(level, int | float) and 0 < level < 1 else 0.0,
    )


def _read_object(store: Store, result: Result, path: str) -> dict[str, Any]:
    """A JSON file of a bundle; empty where it can't be read. A page can do without."""
    for file in result.files:
        if file.path == path and file.size <= _LARGEST_HISTORY:
            try:
                return dict(_items(json.loads(store.get(file.key))))
            except (AtbError, ValueError, RecursionError):
                return {}
    return {}
