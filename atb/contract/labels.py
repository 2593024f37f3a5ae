"""Names and labels of cluster objects: one function makes them all valid and unique."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

RUN_LABEL = "atb/run"
"""On every object of a run; the selector of every list and watch."""
JOB_LABEL = "atb/job"
"""On a Job and its Pods: the job's id within the run, made a label value."""
SYMBOL_LABEL = "atb/symbol"
"""The symbol as a label value, for people's selectors; the raw one is in the annotation."""
PRESET_LABEL = "atb/preset"
SYMBOL_ANNOTATION = "atb/symbol"
"""The symbol as the user wrote it."""
JOB_ANNOTATION = "atb/job"
"""The job's id within the run, as in the store's keys."""
SPEC_ANNOTATION = "atb/spec-digest"
"""What two Jobs of one name are compared by."""
TRY_ANNOTATION = "atb/try"
"""Which of a job's successive Jobs it is, from 0. A Pod template can't change, so more memory needs another Job."""
OOM_ANNOTATION = "atb/oom-retries"
"""How many of the tries before it ran out of memory."""
INFRASTRUCTURE_ANNOTATION = "atb/infrastructure-retries"
"""How many of the tries before it were lost to a node."""
ON_DEMAND_ANNOTATION = "atb/on-demand"
"""On a Job that keeps off spot nodes, since the job was interrupted there too often."""
CAUSE_ANNOTATION = "atb/cause"
"""Why this try was made, for people."""
FIRST_ANNOTATION = "atb/first-created"
"""When the job's first try was made; the deadline of all its tries counts from it."""
VERDICT_ANNOTATION = "atb/verdict"
"""``category: reason`` of a Job that a launcher has given up."""
CREATED_ANNOTATION = "atb/created"
"""On a run's ConfigMap once every Job has been created: what is missing later has vanished."""
CANCELLED_ANNOTATION = "atb/cancelled"
"""On a run's ConfigMap when someone has cancelled it."""

WORKERS_ANNOTATION = "atb/workers"
"""On the Job of a packed run: how many workers it has."""
SINCE_ANNOTATION = "atb/since"
"""On the same: what failed before this time, in seconds since 1970 by the store's clock, is tried again."""

POD_VARIABLE = "ATB_POD"
"""Set in a Pod to its name."""
NODE_VARIABLE = "ATB_NODE"
"""Set in a Pod to its node's name."""
COMPILE_CACHE_VARIABLE = "ATB_COMPILE_CACHE"
"""A folder that keeps what XLA compiles for later workers; without one it goes with the worker."""

JOB_NAME_MAX = 63
INDEXED_JOB_NAME_MAX = 57
"""The Pods of an Indexed Job are named by it, its index and five more characters."""
LABEL_VALUE_MAX = 63

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def short_digest(text: str) -> str:
    """8 hex digits of a text's sha256."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@lru_cache(4096)
def object_name(*parts: str, limit: int = JOB_NAME_MAX) -> str:
    """A DNS-1123 name from a truncated slug and 8 hex digits of the full identity.

    Distinct ``parts`` give distinct names whatever they hold; the result has at most ``limit`` characters.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")
    slug = re.sub(r"^atb-(?=atb-)", "", slug)[: limit - 9].rstrip("-")  # a schedule's runs are called atb-… already
    digest = short_digest("\0".join(parts))
    if not slug or not slug[0].isalnum():
        return f"atb-{digest}"
    return f"{slug}-{digest}"


def label_value(text: str) -> str:
    """The text where it is a valid label value already, else a truncated slug and 8 hex digits of it."""
    return safe_segment(text, limit=LABEL_VALUE_MAX)


@lru_cache(4096)
def safe_segment(text: str, limit: int = 120) -> str:
    """The text where it is made of ``[A-Za-z0-9._-]`` between letters or digits, else a slug with its digest."""
    slug = _UNSAFE.sub("-", text).strip("._-")
    if slug == text and 0 < len(text) <= limit:
        return text
    return f"{slug[: limit - 9].rstrip('._-')}-{short_digest(text)}".lstrip("-")
