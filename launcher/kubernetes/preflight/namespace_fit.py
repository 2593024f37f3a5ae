"""Whether a namespace lets Pods through: LimitRanges and ResourceQuotas, as the API server applies them. Pure.

The dry run of a Job looks at neither for its Pods.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from launcher.kubernetes.api.quantity import parse_quantity
from launcher.kubernetes.objects.patch import merge_patch
from launcher.kubernetes.objects.pod import CONTAINER
from launcher.kubernetes.options import ClusterOptions
from launcher.kubernetes.preflight.node_fit import Verdict

_VERY_MANY = 1000
_OBJECTS = ("count/jobs.batch", "count/pods")
"""Quotas that count objects, finished ones too, and not what runs at a time."""
_COUNTED_AS_THEY_ARE = ("cpu", "memory", "ephemeral-storage")
"""Resources that a quota may name without ``requests.``, and whose limits it may count."""
_NO_LIMIT = "set one as a LimitRange's default, or in pod_patch"
Amounts = Mapping[str, Decimal]


@dataclass(frozen=True)
class Demand:
    """What a container or a Pod requests, and what it is limited to, by resource."""

    requests: Amounts
    limits: Amounts


def demands(options: ClusterOptions, ranges: Sequence[Mapping[str, Any]] = ()) -> list[Demand]:
    """Each container's, with the user's patch and then with what the namespace's LimitRanges add where it has none."""
    own = {"memory": options.memory, **options.resources}
    if options.gpus:
        own[options.gpu_resource] = str(options.gpus)
    trainer = {"name": CONTAINER, "resources": {"requests": {"cpu": options.cpu, **own}, "limits": own}}
    found = []
    for container in merge_patch({"spec": {"containers": [trainer]}}, options.pod_patch)["spec"]["containers"]:
        resources = container.get("resources") or {}
        limits = _amounts(resources.get("limits"))
        requests = limits | _amounts(resources.get("requests"))
        for _, limit in _items(ranges, "Container"):
            limits, requests = _default(limit) | limits, _default_request(limit) | requests
        found.append(Demand(requests, limits))
    return found


def check_limits(ranges: Sequence[Mapping[str, Any]], options: ClusterOptions) -> Iterator[Verdict]:
    """Which LimitRange would have every Pod refused."""
    containers = demands(options, ranges)
    for kind, each in (("Container", containers), ("Pod", [_total(containers)])):
        for name, limit in _items(ranges, kind):
            named = sorted({resource for bound in limit.values() if isinstance(bound, Mapping) for resource in bound})
            problems = ((r, problem) for demand in each for r in named if (problem := _refusal(limit, r, demand)))
            for resource, problem in dict.fromkeys(problems):
                yield "error", f"{name}: a {kind.lower()}'s {resource} {problem}"


def check_quotas(
    quotas: Sequence[Mapping[str, Any]],
    options: ClusterOptions,
    jobs: int,
    ranges: Sequence[Mapping[str, Any]] = (),
) -> Iterator[Verdict]:
    """Which quota forbids even one job, and which is too small for all at once."""
    containers = demands(options, ranges)
    need = _needs(_total(containers))
    for quota in quotas:
        hard, used = _counts(quota)
        for resource, limit in hard.items() if _applies(quota, options) else ():
            name = f"{quota['metadata']['name']}: {resource}"
            if resource == "limits.cpu" and not all("cpu" in container.limits for container in containers):
                yield "error", f"{name} is counted, so each container needs a CPU limit; {_NO_LIMIT}"
            if not (one := need.get(resource)):
                continue
            many = 1 if resource == "count/jobs.batch" and options.workers is not None else jobs
            left = limit - used.get(resource, Decimal(0))
            if one > limit:
                yield "error", f"{name} is limited to {_short(limit)}, one job needs {_short(one)}"
            elif left < one * many:
                room = f"{name} leaves room for {max(0, int(left // one))} of {many} jobs"
                finished = f"{room}: finished Jobs count until they are removed (--ttl, atb-launch clean)"
                yield "warning", finished if resource in _OBJECTS else f"{room} at a time"


def count_quota(quota: Mapping[str, Any], options: ClusterOptions) -> int:
    """How many Pods a quota leaves room for; very many where it does not count what they need."""
    if not _applies(quota, options):
        return _VERY_MANY
    need, (hard, used) = _needs(_total(demands(options))), _counts(quota)
    counts = [
        int((limit - used.get(name, Decimal(0))) // need[name])
        for name, limit in hard.items()
        if need.get(name) and name != "count/jobs.batch"
    ]
    return max(0, min([*counts, _VERY_MANY]))


def _refusal(limit: Mapping[str, Any], resource: str, demand: Demand) -> str:
    """What the API server has against it; empty where nothing. The rules of its LimitRanger."""
    asked, bound = demand.requests.get(resource), demand.limits.get(resource)
    most, least, ratio = (_amounts(limit.get(key)).get(resource) for key in ("max", "min", "maxLimitRequestRatio"))
    largest = max((amount for amount in (asked, bound) if amount is not None), default=Decimal(0))
    if most is not None and largest > most:
        return f"is at most {_short(most)}, one job needs {_short(largest)}"
    if most is not None and bound is None:
        return f"is at most {_short(most)}, and there is no limit; {_NO_LIMIT}"
    if least is not None and (asked is None or asked < least):
        return f"is at least {_short(least)}, one job asks for {_short(asked or Decimal(0))}"
    if ratio is not None and (not asked or bound is None):
        return f"may have a limit of {_short(ratio)} times the request, and there is none; {_NO_LIMIT}"
    if ratio is not None and asked and bound is not None and bound / asked > ratio:
        return f"may have a limit of {_short(ratio)} times the request, not {_short(bound)} for {_short(asked)}"
    if asked is not None and bound is not None and asked > bound and _default(limit).get(resource) == bound:
        return f"is limited to {_short(bound)} where no limit is set, one job needs {_short(asked)}"
    return ""


def _applies(quota: Mapping[str, Any], options: ClusterOptions) -> bool:
    """Whether a quota counts our Pods, which have requests, and no deadline of their own."""
    spec = quota.get("spec", {})
    terms = [{"scopeName": name, "operator": "Exists"} for name in spec.get("scopes") or []]
    terms += (spec.get("scopeSelector") or {}).get("matchExpressions") or []
    return all(_is_in_scope(term, options.priority_class) for term in terms)


def _is_in_scope(term: Mapping[str, Any], priority: str | None) -> bool:
    if term["scopeName"] != "PriorityClass":
        return term["scopeName"] in ("NotTerminating", "NotBestEffort")
    values = term.get("values") or []
    matched = {"In": priority in values, "NotIn": priority not in values, "Exists": priority is not None}
    return matched.get(term.get("operator", "Exists"), priority is None)


def _counts(quota: Mapping[str, Any]) -> tuple[Amounts, Amounts]:
    """What it allows, and what is used."""
    status = quota.get("status", {})
    return _amounts(status.get("hard") or quota.get("spec", {}).get("hard")), _amounts(status.get("used"))


def _needs(pod: Demand) -> dict[str, Decimal]:
    """What one job takes of a quota, by the quota's names for it."""
    need = dict.fromkeys(("pods", *_OBJECTS), Decimal(1))
    for name, amount in pod.requests.items():
        need[f"requests.{name}"] = amount
        if name in _COUNTED_AS_THEY_ARE or name.startswith("hugepages-"):
            need[name] = amount
    return need | {f"limits.{name}": pod.limits[name] for name in _COUNTED_AS_THEY_ARE if name in pod.limits}


def _items(ranges: Sequence[Mapping[str, Any]], kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for found in ranges:
        for limit in found.get("spec", {}).get("limits") or []:
            if limit.get("type") == kind:
                yield found["metadata"]["name"], limit


def _default(limit: Mapping[str, Any]) -> dict[str, Decimal]:
    return (_amounts(limit.get("max")) | _amounts(limit.get("default"))) if limit["type"] == "Container" else {}


def _default_request(limit: Mapping[str, Any]) -> dict[str, Decimal]:
    return _amounts(limit.get("min")) | _default(limit) | _amounts(limit.get("defaultRequest"))


def _total(containers: Sequence[Demand]) -> Demand:
    def add(lists: Sequence[Amounts]) -> dict[str, Decimal]:
        return {name: sum((each.get(name, Decimal(0)) for each in lists), Decimal(0)) for one in lists for name in one}

    return Demand(add([each.requests for each in containers]), add([each.limits for each in containers]))


def _amounts(found: Mapping[str, Any] | None) -> dict[str, Decimal]:
    return {name: parse_quantity(str(amount)) for name, amount in (found or {}).items()}


def _short(amount: Decimal) -> str:
    for unit, size in (("Gi", 2**30), ("Mi", 2**20)):
        if amount >= size:
            return f"{amount / size:.4g}{unit}"
    return f"{(amount * 1000).normalize():f}m" if 0 < amount < 1 else f"{amount.normalize():f}"
