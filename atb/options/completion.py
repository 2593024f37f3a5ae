"""What a shell completes: symbols, presets, runs and jobs, read from folders alone, since a key press must not wait."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import click

from atb.contract.presets import PRESET_NAMES


def complete_runs(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names of runs, the latest first."""
    return [name for name in reversed(_names(_store(context) / "runs")) if name.startswith(incomplete)]


def complete_jobs(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Jobs of the run that stands before."""
    jobs = _names(_store(context) / "runs" / str(context.params.get("run")) / "jobs")
    return [name for name in jobs if name.startswith(incomplete)]


def complete_symbols(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Symbols that the store has models or bars of; in a list with commas the last one."""
    store = _store(context)
    bars = [market for source in _folders(store / "bars") for market in _folders(source)]
    known = {name for folder in (store / "models", *bars) for name in _names(folder)}
    return _complete_last(sorted(known), incomplete)


def complete_presets(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Presets; in a list with commas the last one."""
    return _complete_last(PRESET_NAMES, incomplete)


def _complete_last(names: Iterable[str], incomplete: str) -> list[str]:
    head, comma, last = incomplete.rpartition(",")
    used = head.split(",")
    return [f"{head}{comma}{name}" for name in names if name.startswith(last) and name not in used]


def _store(context: click.Context) -> Path:
    """The directory named by the command line, the environment or the default; a bucket completes nothing."""
    given: str | None = None
    at: click.Context | None = context
    while at is not None and given is None:
        given, at = at.params.get("store"), at.parent
    url = given or os.environ.get("ATB_STORE") or "./store"
    return Path(os.devnull) if "://" in url else Path(os.path.expanduser(url))


def _names(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    except OSError:
        return []


def _folders(folder: Path) -> list[Path]:
    return [folder / name for name in _names(folder)]
