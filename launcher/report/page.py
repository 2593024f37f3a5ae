"""The run's page: one HTML file that needs nothing else, made from the manifest and the results it names."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from html import escape
from typing import Any

from atb.contract import bundle, keys
from atb.documents.manifest import Manifest, ManifestJob
from atb.documents.result import Result
from atb.errors import AtbError, NotFound, Unreadable
from atb.registry.gate import describe, passes
from atb.storage import Store
from atb.storage.read import read_document
from launcher.records.manifest import build_manifest
from launcher.records.run_record import READERS, RunRecord
from launcher.report.charts import line_chart, skill_bar

_METRICS = (
    ("skill", "skill over the last close", "+.4f"),
    ("directional_accuracy", "directional accuracy", ".1%"),
    ("rmse", "RMSE, price", ".6g"),
    ("mape", "MAPE, %", ".4f"),
)
_TRADING = (
    ("return", "return", "+.1%"),
    ("sharpe", "Sharpe, by the year", "+.2f"),
    ("sharpe_error", "its standard error", ".2f"),
    ("drawdown", "drawdown", ".1%"),
    ("trades", "trades", ".0f"),
    ("exposure", "exposure", ".0%"),
)


MOST_DETAILS = 300
"""Models whose curves are drawn: of more, those with the most skill. The others have their rows."""


def write_report(store: Store, record: RunRecord) -> str:
    """Make the page of a run and write it beside the manifest. Returns its key. Raises StoreError."""
    manifest = build_manifest(record)
    key = keys.report(manifest.run)
    results = read_detailed(store, record, manifest)
    with ThreadPoolExecutor(READERS) as pool:
        read = pool.map(lambda result: _read_history(store, result), results.values())
        histories = dict(zip(results, read, strict=True))
    store.put(key, render_report(manifest, results, histories).encode())
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


def render_report(
    manifest: Manifest, results: Mapping[str, Result], histories: Mapping[str, Mapping[str, list[float]]]
) -> str:
    """The page. ``results`` and ``histories`` are by job; those that are not there are shown without their details."""
    body = "\n".join(_body(manifest, results, histories))
    return _PAGE.replace("{title}", escape(f"Run {manifest.run}")).replace("{body}", body)


def _body(
    manifest: Manifest, results: Mapping[str, Result], histories: Mapping[str, Mapping[str, list[float]]]
) -> Iterator[str]:
    yield f"<h1>Run {escape(manifest.run)}</h1>"
    yield f'<p class="quiet">planned {manifest.created:%Y-%m-%d %H:%M} UTC</p>'
    yield f'<p class="tiles">{"".join(_tiles(manifest))}</p>'
    if any(job.synthetic for job in manifest.jobs):
        yield '<p class="warning">Some models were trained on made-up bars: their numbers say nothing of a market.</p>'
    yield (
        '<p class="quiet">Skill is 1 − RMSE / RMSE of the last close, on test rows the model never saw: 0 is no better '
        "than the last close. The linear baseline's skill stands beside it.</p>"
    )
    yield '<input id="find" type="search" placeholder="find a symbol, preset or reason" aria-label="find">'
    yield "<table><thead><tr>" + "".join(f'<th tabindex="0">{name}</th>' for name in _HEAD) + "</tr></thead><tbody>"
    reach = max((abs(job.metrics.get("skill", 0.0)) for job in manifest.jobs), default=0.0)
    for job in manifest.jobs:
        yield _row(job, reach, job.job in results)
    yield "</tbody></table>"
    yield from _problems(manifest)
    yield "<h2>Models</h2>" if results else ""
    left_out = sum(job.result is not None for job in manifest.jobs) - len(results)
    if left_out > 0:
        yield f'<p class="quiet">The {len(results):,} with the most skill; {left_out:,} more have their rows above.</p>'
    for job in manifest.jobs:
        if job.job in results:
            yield from _details(job, results[job.job], histories.get(job.job, {}))
    yield from _stages(results)


def _problems(manifest: Manifest) -> Iterator[str]:
    if manifest.problems:
        yield "<h2>Documents that can't be read</h2><ul>"
        yield from (f'<li class="failed">{escape(each.problem)}</li>' for each in manifest.problems)
        yield "</ul>"


def _tiles(manifest: Manifest) -> Iterator[str]:
    counted: dict[str, int] = {}
    for job in manifest.jobs:
        counted[job.state] = counted.get(job.state, 0) + 1
    for state, count in counted.items():
        yield f'<span class="tile {state}"><b>{count}</b> {state}</span>'
    passed = sum(passes(job.gate) for job in manifest.jobs)
    yield f'<span class="tile"><b>{passed}</b> through the gate</span>'


_HEAD = ("job", "state", "skill", "", "linear", "direction", "gate", "epochs", "seconds", "memory", "why")


def _row(job: ManifestJob, reach: float, detailed: bool) -> str:
    skill = job.metrics.get("skill")
    linear = job.baselines.get("linear", {})
    gate = "" if not job.gate else "passed" if passes(job.gate) else "not passed"
    name = escape(job.job)
    link = f'<a href="#{name}">{name}</a>' if detailed else name
    missed = ", ".join(rule.name for rule in job.gate if not rule.passed)
    cells = [
        f"<td>{link}{' <em>made up</em>' if job.synthetic else ''}</td>",
        f'<td class="{job.state}">{job.state}</td>',
        _number_cell(skill, "+.4f"),
        f"<td>{'' if skill is None else skill_bar(skill, reach)}</td>",
        _number_cell(linear.get("skill"), "+.4f"),
        _number_cell(job.metrics.get("directional_accuracy"), ".1%"),
        f'<td class="{gate.replace(" ", "-")}">{gate}</td>',
        _number_cell(job.epochs, ","),
        _number_cell(job.seconds, ",.0f"),
        _number_cell(job.peak_memory_bytes and job.peak_memory_bytes / 2**20, ",.0f", " MiB"),
        f"<td>{escape(' · '.join(filter(None, (job.category, job.reason, missed))))}</td>",
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _number_cell(value: float | None, form: str, unit: str = "") -> str:
    if value is None:
        return '<td class="number" data-value="-1e99"></td>'
    return f'<td class="number" data-value="{value!r}">{value:{form}}{unit}</td>'


def _details(job: ManifestJob, result: Result, history: Mapping[str, list[float]]) -> Iterator[str]:
    yield f'<details id="{escape(job.job)}"><summary>{escape(job.job)}</summary><div class="columns">'
    yield _numbers({"model": result.metrics, **result.baselines}, _METRICS)
    yield _numbers({"model": result.backtest.model, "hold": result.backtest.hold}, _TRADING)
    if result.gate:
        verdicts = "".join(
            f'<li class="{"passed" if rule.passed else "not-passed"}">{escape(describe(rule))}</li>'
            for rule in result.gate
        )
        yield f"<ul>{verdicts}</ul>"
    yield line_chart("equity", {name: result.backtest.curves.get(name, ()) for name in ("model", "hold")})
    yield line_chart("loss", {"validation": history.get("val_loss", []), "train": history.get("loss", [])})
    fit = result.fit
    yield (
        f'</div><p class="quiet">{result.bars.rows:,} bars, features {escape(result.features.name)}, '
        f"{result.split.test:,} test rows, {fit.parameters:,} parameters, best epoch {fit.best_epoch} of {fit.epochs} "
        f"on {escape(fit.device)}, spec {escape(result.spec_digest[:12])}, code {escape(result.code.digest)}</p>"
        "</details>"
    )


def _numbers(columns: Mapping[str, Mapping[str, float]], rows: tuple[tuple[str, str, str], ...]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    lines = "".join(
        f"<tr><th>{label}</th>"
        + "".join(f'<td class="number">{_said(values.get(name), form)}</td>' for values in columns.values())
        + "</tr>"
        for name, label, form in rows
    )
    return f'<table class="small"><tr><th></th>{head}</tr>{lines}</table>'


def _said(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _stages(results: Mapping[str, Result]) -> Iterator[str]:
    names = list(dict.fromkeys(stage.name for result in results.values() for stage in result.stages))
    if not names:
        return
    yield "<h2>Seconds by stage</h2><table><thead><tr><th>job</th>"
    yield "".join(f"<th>{escape(name)}</th>" for name in names) + "</tr></thead><tbody>"
    for job, result in results.items():
        spent = {stage.name: stage.seconds for stage in result.stages}
        cells = [_number_cell(spent.get(name), ",.1f") for name in names]
        yield f"<tr><td>{escape(job)}</td>{''.join(cells)}</tr>"
    yield "</tbody></table>"


_LARGEST_HISTORY = 64 << 20


def _items(found: object) -> Iterator[tuple[str, object]]:
    if isinstance(found, dict):
        yield from ((str(name), values) for name, values in found.items())


def _numbers_of(values: object) -> list[float]:
    """A curve's values; none where one is no finite number."""
    if not isinstance(values, list):
        return []
    numbers = [float(each) for each in values if isinstance(each, int | float) and math.isfinite(each)]
    return numbers if len(numbers) == len(values) else []


def _read_history(store: Store, result: Result) -> dict[str, list[float]]:
    for file in result.files:
        if file.path == bundle.HISTORY:
            try:
                found: Any = json.loads(store.get(file.key)) if file.size <= _LARGEST_HISTORY else None
            except (AtbError, ValueError, RecursionError):
                return {}
            return {name: numbers for name, values in _items(found) if (numbers := _numbers_of(values))}
    return {}


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root{--ink:#1b1f24;--quiet:#66707c;--line:#e3e6ea;--page:#fff;--model:#1f5fa8;--other:#d9822b;--good:#1a7f4b;--bad:#b3372f}
@media (prefers-color-scheme:dark){:root{--ink:#e6e8ea;--quiet:#9aa3ad;--line:#30363d;--page:#14171a;--model:#6aa7ec;
--other:#e8a15a;--good:#56c288;--bad:#e8776f}}
body{font:14px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);margin:2rem auto;max-width:82rem;
padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
.quiet{color:var(--quiet);margin:.3rem 0}.warning{border-left:4px solid var(--other);padding-left:.7rem}
.tile{display:inline-block;border:1px solid var(--line);border-radius:.4rem;padding:.3rem .8rem;margin:0 .5rem .3rem 0}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid var(--line)}
thead th{color:var(--quiet);font-weight:600;cursor:pointer}.number{text-align:right}
table.small{width:auto}table.small th{font-weight:400;color:var(--quiet)}
.done,.skipped,.passed{color:var(--good)}.failed,.interrupted,.not-passed{color:var(--bad)}
.bar{display:block;position:relative;width:7rem;height:.6rem;border-left:0;background:linear-gradient(var(--quiet),
var(--quiet)) center/1px 100% no-repeat}
.bar i{position:absolute;top:.1rem;bottom:.1rem}.bar .good{background:var(--good)}.bar .bad{background:var(--bad)}
details{border-bottom:1px solid var(--line);padding:.3rem 0}summary{cursor:pointer}
.columns{display:flex;flex-wrap:wrap;gap:1rem 2rem;align-items:flex-start;margin-top:.5rem}
figure{margin:0;width:19rem}figcaption{color:var(--quiet);font-size:12px}svg{width:100%;border:1px solid var(--line)}
polyline{fill:none;stroke-width:1.5}.line0{stroke:var(--model)}.line1{stroke:var(--other)}
.key0{color:var(--model)}.key1{color:var(--other)}ul{margin:0;padding-left:1.2rem;max-width:30rem}
input{font:inherit;color:inherit;background:inherit;border:1px solid var(--line);border-radius:.4rem;
padding:.3rem .6rem;width:20rem;max-width:100%;margin:.5rem 0}
a{color:var(--model);text-decoration:none}
</style></head><body>
{body}
<script>
const value=cell=>cell.dataset.value===undefined?cell.textContent:Number(cell.dataset.value);
for(const head of document.querySelectorAll('thead th')){const sort=()=>{
const body=head.closest('table').tBodies[0],index=head.cellIndex,up=head.dataset.up!=='1';head.dataset.up=up?'1':'0';
[...body.rows].sort((one,other)=>{const a=value(one.cells[index]),b=value(other.cells[index]);
return (a<b?-1:a>b?1:0)*(up?1:-1)}).forEach(row=>body.append(row))};
head.onclick=sort;head.onkeydown=event=>{if(event.key==='Enter')sort()}}
document.getElementById('find').oninput=event=>{const words=event.target.value.toLowerCase();
for(const row of document.querySelector('tbody').rows)row.hidden=!row.textContent.toLowerCase().includes(words)};
const open=()=>{const found=document.getElementById(decodeURIComponent(location.hash.slice(1)));
if(found&&found.tagName==='DETAILS'){found.open=true;found.scrollIntoView()}};
addEventListener('hashchange',open);open();
</script></body></html>
"""
