"""Which backends there are: ours, and those of installed packages that have an entry point in ``atb.backends``."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from atb.documents.plan import Plan
from atb.errors import SpecError
from atb.plugins import BACKENDS, find_entry, list_plugins
from launcher.plan.backend import Backend, BackendModule, Setup
from launcher.plan.cost import Shape

AUTO = "auto"
BUILT_IN = {"kubernetes": "launcher.kubernetes.backend", "local": "launcher.worker.backend"}
"""Name → module, imported when it is needed. ``auto`` is the first of these that finds what it needs here."""


def backend_names() -> tuple[str, ...]:
    """Every backend that ``--backend`` can name."""
    return (*BUILT_IN, *(each.name for each in list_plugins(BACKENDS) if each.name not in BUILT_IN))


def find_backend(name: str) -> BackendModule:
    """The module of a backend. Raises SpecError for a name that none has."""
    if name in BUILT_IN:
        return cast(BackendModule, importlib.import_module(BUILT_IN[name]))
    if plugin := find_entry(BACKENDS, name):
        return cast(BackendModule, plugin.load())
    raise SpecError(f"backend {name!r} is unknown; choose one of {', '.join((AUTO, *backend_names()))}")


def choose_backend(requested: str, environment: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """The backend's name and why it is that one. Raises SpecError where a configuration is broken: that is no reason
    to train elsewhere."""
    if requested != AUTO:
        return requested, "as asked"
    for name in BUILT_IN:
        if reason := find_backend(name).detect(environment):
            return name, reason
    raise SpecError("no backend can be used here; name one with --backend")


def open_run(plan: Plan, setup: Setup) -> Backend:
    """The backend that a run was launched on. Raises SpecError, Unavailable."""
    return find_backend(plan.backend).open_backend(replace(setup, plan=plan))


def shape_of(plan: Plan) -> Shape:
    """How a plan's jobs are run, as its options say; a plug-in need not say. Raises SpecError."""
    module = find_backend(plan.backend)
    return module.shape_of(plan) if hasattr(module, "shape_of") else Shape(gpus=0, slots=1, at_once=None)
