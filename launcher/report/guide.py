"""The words around a run's numbers: what was requested, and what can be done next, with the exact commands."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from atb.contract.presets import PRESETS
from atb.contract.spec import Spec, data_check
from atb.documents.manifest import Manifest, ManifestJob
from atb.documents.plan import Plan
from atb.options.table import find_rows
from atb.registry.champions import ModelKey
from atb.registry.gate import passes

_OF_PRESET = {
    "epochs": "epochs",
    "batch_size": "batch",
    "sequence_length": "window",
    "patience": "patience",
    "learning_rate": "Adam",
}
_SHOWN_SYMBOLS = 5
_NAMED_SYMBOLS = 100
"""Symbols that a command names; of more it says that a file has them."""
_NAMED = ("source", "start", "as_of", "preset")
"""Options that the command for planning a run again always names."""
_BY_TARGET = ("features", "residual")
"""Options whose default differs for volatility."""


@dataclass(frozen=True)
class Step:
    """Something to do next, with the command for it."""

    text: str
    command: str


def describe_request(plan: Plan, where: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Name and value of what the plan requests: symbols, presets with their numbers, bars, window, the command."""
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
    yield "command", shlex.join([*_request_words(plan, symbols, list(presets), first), *where])


def _request_words(plan: Plan, symbols: list[str], presets: list[str], spec: Spec) -> list[str]:
    """The command that plans the same run again; what differs between its jobs is left to the presets."""
    named = ",".join(symbols) if len(symbols) <= _NAMED_SYMBOLS else "@symbols.txt"
    words = ["atb-launch", "--symbols", named, "--presets", ",".join(presets), "--source", spec.source]
    words += ["--as-of", f"{spec.as_of:%Y-%m-%dT%H:%M}"]
    specs = [job.spec for job in plan.jobs]
    if len({each.start for each in specs}) == 1:
        words += ["--start", f"{spec.start:%Y-%m-%dT%H:%M}"]
    kinds = {(each.preset, each.target): each for each in specs}.values()  # which decide the defaults
    for row in find_rows(["Spec"]):
        values = {getattr(each, row.name) for each in specs}
        if row.name in _NAMED or len(values) > 1 or all(_is_default(each, row.name) for each in kinds):
            continue
        value = values.pop()
        if row.kind == "switch":
            words.append(row.flags[0].split("/")[not value])
        else:
            words += [row.flags[0], f"{value:g}" if isinstance(value, float) else str(value)]
    return [*words, "--backend", plan.backend, *_cluster_words(plan.options.get("cluster") or {})]


def _cluster_words(options: Mapping[str, Any]) -> Iterator[str]:
    """The flags of the cluster's options that differ from their defaults; what only a file can say is left out."""
    for row in find_rows(["ClusterOptions"]):
        value = options.get(row.name)
        if value is None or not row.flags:
            continue
        if row.kind == "switch":
            yield row.flags[0].split("/")[not value]
        elif isinstance(value, Mapping):
            yield from (word for name, text in value.items() for word in (row.flags[0], f"{name}={text}"))
        elif isinstance(value, list | tuple):
            yield from (word for each in value for word in (row.flags[0], _flag_text(each)))
        else:
            yield from (row.flags[0], f"{value:g}" if isinstance(value, float) else str(value))


def _flag_text(each: Any) -> str:
    """A name, or a toleration as ``--toleration`` has it: KEY[=VALUE][:EFFECT]."""
    if not isinstance(each, Mapping):
        return str(each)
    value, effect = (
        f"{sign}{each[name]}" if each.get(name) else "" for sign, name in (("=", "value"), (":", "effect"))
    )
    return f"{each.get('key', '')}{value}{effect}"


def _is_default(spec: Spec, name: str) -> bool:
    """Whether an option has its default value."""
    if name in _BY_TARGET and spec.target != "return":
        return False
    default = getattr(PRESETS[spec.preset], name, Spec.model_fields[name].default)
    return bool(getattr(spec, name) == default)


def next_steps(
    plan: Plan,
    manifest: Manifest,
    promoted: Mapping[str, bool],
    where: Sequence[str],
    *,
    page: str = "",
    access: Sequence[str] = (),
) -> Iterator[Step]:
    """What is worth doing now: open the page, look at failures, try again, promote, forecast. ``where``: the options
    that name the store, ``access`` those that name the cluster; ``page``: the page's file, if a browser can open it."""

    def command(*words: str) -> str:
        return shlex.join([*words, *where])

    if page:
        yield Step("Open the page.", shlex.join(["xdg-open", page]))
    run = manifest.run
    missing = [job for job in manifest.jobs if job.state not in ("done", "skipped")]
    if missing:
        first = missing[0]
        yield Step(f"See why {first.job} {_verb(first)}.", command("atb-launch", "why", run, first.job, *access))
    yield from _mend_bars(plan, missing, where)
    again = [job for job in missing if job.category not in _SAME_AGAIN]
    if again:
        words = "Try it again." if len(again) == 1 else f"Train the {len(again):,} missing models; what is done stays."
        yield Step(words, command("atb-launch", "--resume", run, *access))
    own = [job for job in manifest.jobs if job.state == "done"]
    passed = [job for job in own if passes(job.gate) and not promoted.get(job.job)]
    if passed:
        which = ["--preset", passed[0].preset] if _has_several(manifest, passed[0].symbol) else []
        promote = command("atb", "models", "promote", run, passed[0].symbol, *which)
        yield Step(f"Let {passed[0].symbol} serve; it passed the gate.", promote)
    serving = [job for job in manifest.jobs if promoted.get(job.job)]
    if serving:
        spec = next(planned.spec for planned in plan.jobs if planned.job == serving[0].job)
        yield Step("Forecast the next bar.", command("atb", "predict", *ModelKey.of(spec).words))
    if not missing and not passed and not serving:
        yield Step("No model passed the gate. See what each knew.", command("atb-launch", "status", run))


_SAME_AGAIN = ("bad-data", "bad-spec")
"""A run's cut and options are fixed: what failed because of them fails again."""


def can_help(manifest: Manifest) -> bool:
    """Whether resuming a run could bring a model that is missing."""
    missing = (job for job in manifest.jobs if job.state not in ("done", "skipped"))
    return any(job.category not in _SAME_AGAIN for job in missing)


def _mend_bars(plan: Plan, missing: Sequence[ManifestJob], where: Sequence[str]) -> Iterator[Step]:
    bad = [job for job in missing if job.category == "bad-data"]
    if not bad:
        return
    spec = next(job.spec for job in plan.jobs if job.job == bad[0].job)
    yield Step(
        f"See what is wrong with the bars of {spec.symbol}; --resume would read the same window.",
        data_check(spec, where),
    )


def _verb(job: ManifestJob) -> str:
    return "failed" if job.state == "failed" else "was interrupted" if job.state == "interrupted" else "is not done"


def _has_several(manifest: Manifest, symbol: str) -> bool:
    return sum(job.symbol == symbol for job in manifest.jobs) > 1
