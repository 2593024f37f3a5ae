"""Categories of what makes a job wait or fail, each with what helps: one table for retries, tables, pages and docs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from atb.contract.exits import EXITS
from atb.contract.spec import Spec, bars_words

Retry = Literal["never", "memory", "elsewhere", "free", "counted"]
"""Who retries: nobody; the launcher with more memory or on another node; the Job for free or up to its limit."""


@dataclass(frozen=True)
class Category:
    """One kind of trouble. ``exit_code`` is the launcher's when a run ends in it; a remedy may name RUN and SYMBOL."""

    name: str
    meaning: str
    remedy: str
    retry: Retry
    exit_code: int


_WHY = "look with: atb-launch why RUN SYMBOL"
_CLUSTER = (
    Category("oom", "out of memory", "raise --memory or --max-memory, or lower --batch-size", "memory", 71),
    Category("taint", "it tolerates no node's taints", "add --toleration, or remove the taint", "never", 72),
    Category("affinity", "no node has the labels it asks for", "correct --node-selector or the affinity", "never", 72),
    Category("gpu", "no node has a free GPU", "wait, ask for fewer --gpus, or add a GPU node", "never", 72),
    Category("cpu", "no node has enough free CPU", "lower --cpu, or add a node", "never", 72),
    Category("memory", "no node has enough free memory", "lower --memory, or add a node", "never", 72),
    Category("quota", "the namespace's quota is used up", "look with: kubectl describe quota", "never", 72),
    Category("queue", "its queue has not admitted it yet", "look with: kubectl describe localqueue", "never", 72),
    Category("unschedulable", "no node can run it", _WHY, "never", 72),
    Category("image", "its image cannot be pulled", "correct --image or --image-pull-secret", "never", 73),
    Category("image-passing", "the registry does not answer", "wait; look at the registry's limits", "never", 73),
    Category("config", "a Secret, ConfigMap or volume is missing", "create what the message names", "never", 74),
    Category("refused", "the API server rejects the Job", "correct what the message names", "never", 74),
    Category("start", "its container cannot be started", _WHY, "never", 74),
    Category(
        "evicted",
        "evicted from its node",
        "raise --scratch-size, or use a calmer node",
        "counted",
        76,
    ),
    Category("preempted", "interrupted by the cluster", "nothing: it resumes from its checkpoint", "free", 76),
    Category("node-lost", "its node failed or went away", "look with: kubectl get nodes", "elsewhere", 76),
    Category("deadline", "its deadline passed", "raise --deadline, or: atb-launch --resume RUN", "never", 77),
    Category("vanished", "its Job was deleted", "resume with: atb-launch --resume RUN", "never", 78),
    Category("cancelled", "cancelled", "resume with: atb-launch --resume RUN", "never", 143),
    Category("killed", "its process was killed, or vanished with its machine", _WHY, "counted", 76),
    Category("lost", "nothing has been heard from its machine", "resume with: atb-launch --resume RUN", "never", 76),
    Category("unreadable", "its result cannot be read", "resume with: atb-launch --resume RUN", "never", 1),
    Category("gone", "the result that it was skipped for is gone", "resume with: atb-launch --resume RUN", "never", 1),
    Category("no-result", "it exited 0 but left no result", _WHY, "never", 70),
    Category("failed", "it failed and left nothing that says why", _WHY, "counted", 1),
)

_OF_EXITS: dict[str, Retry] = {"no-accelerator": "elsewhere"}

CATEGORIES: dict[str, Category] = {
    **{
        entry.category: Category(
            entry.category,
            entry.meaning,
            entry.remedy,
            _OF_EXITS.get(entry.category, "never" if entry.permanent else "counted"),
            entry.code,
        )
        for entry in EXITS
        if entry.code
    },
    **{category.name: category for category in _CLUSTER},
}

_COMMAND = re.compile(r"(?:^|: )(atb(?:-launch)? [^;]*)$")
"""The command that a remedy ends with."""


def fill_remedy(remedy: str, run: str, spec: Spec | None, where: Sequence[str]) -> str:
    """A remedy for a job of a run. Its command is completed: with the run, with the symbol and its bars if ``spec`` is
    given, and with ``where``, the options that name the store."""
    found = _COMMAND.search(remedy)
    if found is None:
        return remedy
    words = []
    for word in found[1].split():
        if word == "SYMBOL" and spec is not None:
            words += bars_words(spec) if "data" in words else [spec.symbol]
        else:
            words.append(run if word == "RUN" else word)
    return remedy[: found.start(1)] + shlex.join([*words, *where])


INTERRUPTIONS = frozenset({"cancelled", "vanished"})
"""Categories of jobs that a user stopped: they have not failed."""
INFRASTRUCTURE = frozenset(name for name, category in CATEGORIES.items() if category.retry == "elsewhere")
"""Categories that speak against a node: two symbols that meet one on the same node keep later attempts off it."""
