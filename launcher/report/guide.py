"""The words around a run's numbers: what was requested, and what can be done next, with the exact commands."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from atb.contract.presets import PRESETS
from atb.contract.spec import Spec
from atb.documents.manifest import Manifest
from atb.documents.plan import Plan
from atb.registry.gate import passes

_OF_PRESET = {
    "epochs": "epochs",
    "batch_size": "batch",
    "sequence_length": "window",
    "patience": "patience",
    "learning_rate": "Adam",
}
_SHOWN_SYMBOLS = 5


@dataclass(frozen=True)
class Step:
    """Something to do next, with the command for it."""

    text: str
    command: str


def describe_request(plan: Plan) -> Iterator[tuple[str, str]]:
    """Name and value of what the plan asks for: symbols, presets with their numbers, bars, window, the command."""
    specs = [job.spec for job in plan.jobs]
    symbols, presets = list(dict.fromkeys(spec.symbol for spec in specs)), dict.fromkeys(spec.preset for spec in specs)
    first = specs[0]
    more = f" and {len(symbols) - _SHOWN_SYMBOLS:,} more" if len(symbols) > _SHOWN_SYMBOLS else ""
    yield "symbols", f"{', '.join(symbols[:_SHOWN_SYMBOLS])}{more}"
    for preset in presets:
        spec = next(each for each in specs if each.preset == preset)
        numbers = ", ".join(f"{word} {getattr(spec, name):g}" for name, word in _OF_PRESET.items())
        yield f"preset {preset}", numbers
    yield "bars", f"{first.source}, {first.market}, {first.timeframe}"
    yield "window", f"{min(spec.start for spec in specs):%Y-%m-%d %H:%M} to {first.as_of:%Y-%m-%d %H:%M} UTC"
    yield "forecast", f"{first.target}, {first.horizon} bar{'s' * (first.horizon > 1)} ahead, from {first.features}"
    yield "command", _command(plan, symbols, list(presets), first)


def _command(plan: Plan, symbols: list[str], presets: list[str], spec: Spec) -> str:
    """The command that plans the same run again."""
    named = ",".join(symbols) if len(symbols) <= _SHOWN_SYMBOLS else "@symbols.txt"
    words = ["atb-launch", "--symbols", named, "--presets", ",".join(presets), "--source", spec.source]
    words += ["--as-of", f"{spec.as_of:%Y-%m-%dT%H:%M}", "--start", f"{spec.start:%Y-%m-%dT%H:%M}"]
    for name in ("market", "timeframe", "features", "target", "horizon", "seed", "on_gap", "augment", "folds"):
        if (value := getattr(spec, name)) != Spec.model_fields[name].default:
            words += [f"--{name.replace('_', '-')}", str(value)]
    for name in _OF_PRESET:
        if len(presets) == 1 and (value := getattr(spec, name)) != getattr(PRESETS[spec.preset], name):
            words += [f"--{name.replace('_', '-')}", f"{value:g}"]
    return shlex.join([*words, "--backend", plan.backend])


def next_steps(manifest: Manifest, promoted: Mapping[str, bool], store: str) -> Iterator[Step]:
    """What is worth doing now: look at failures, try again, promote, forecast."""
    run, where = shlex.quote(manifest.run), f"--store {shlex.quote(store)}"
    failed = [job for job in manifest.jobs if job.state not in ("done", "skipped")]
    if failed:
        symbol = shlex.quote(failed[0].symbol)
        yield Step(f"See why {failed[0].job} failed.", f"atb-launch why {run} {symbol} {where}")
        again = f"Train the {len(failed):,} missing models; what is done stays." if len(failed) > 1 else "Try it again."
        yield Step(again, f"atb-launch --resume {run} {where}")
    passed = [job for job in manifest.jobs if passes(job.gate) and not promoted.get(job.job)]
    if passed:
        yield Step(
            f"Let {passed[0].symbol} serve; it passed the gate.",
            f"atb models promote {run} {shlex.quote(passed[0].symbol)} {where}",
        )
    serving = [job for job in manifest.jobs if promoted.get(job.job)]
    if serving:
        yield Step("Forecast the next bar.", f"atb predict {shlex.quote(serving[0].symbol)} {where}")
    if not failed and not passed and not serving:
        yield Step("No model passed the gate. See what each knew.", f"atb-launch status {run} {where}")
