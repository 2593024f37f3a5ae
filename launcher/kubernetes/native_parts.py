"""Parts of a Pod in Kubernetes' own form, as far as we build on them: a wrong shape is refused before anything runs.

The affinity gets nodes to avoid only once a job is retried, hours after it was given.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from atb.redaction import TELLING_NAME, holds_secret
from atb.schema import first_problem

MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "imagePullSecrets": "name",
    "env": "name",
    "volumeMounts": "mountPath",
    "topologySpreadConstraints": "topologyKey",
    "resourceClaims": "name",
    "claims": "name",
}
"""Lists of a Pod that a strategic merge patch merges, and by which field; every other list is replaced."""
_MAPPINGS = ("metadata", "labels", "annotations", "spec", "securityContext", "nodeSelector", "affinity", "resources")


class _Term(BaseModel):
    match_fields: list[dict[str, Any]] = Field([], alias="matchFields")
    match_expressions: list[dict[str, Any]] = Field([], alias="matchExpressions")


class _Required(BaseModel):
    terms: list[_Term] | None = Field(None, alias="nodeSelectorTerms")


class _NodeAffinity(BaseModel):
    required: _Required = Field(_Required(), alias="requiredDuringSchedulingIgnoredDuringExecution")
    preferred: list[dict[str, Any]] = Field([], alias="preferredDuringSchedulingIgnoredDuringExecution")


class _Affinity(BaseModel):
    node: _NodeAffinity = Field(_NodeAffinity(), alias="nodeAffinity")


def _check_affinity(found: dict[str, Any]) -> dict[str, Any]:
    try:
        _Affinity.model_validate(found)
    except ValidationError as error:
        raise ValueError(first_problem(error)) from None
    return found


def _check_patch(found: dict[str, Any]) -> dict[str, Any]:
    left: list[Any] = [found]
    while left:
        part = left.pop()
        _check_no_secret(part)
        for name, value in part.items() if isinstance(part, dict) else ():
            key = MERGE_KEYS.get(name)
            if key and value is not None and not _is_named(value, key):
                raise ValueError(f"{name} should be a list whose entries each have a {key}")
            if name in _MAPPINGS and not isinstance(value, dict | type(None)):
                raise ValueError(f"{name} should be a mapping")
            left += value if isinstance(value, list) else [value]
    return found


def _check_no_secret(part: Any) -> None:
    """Raises ValueError for a text that looks like a secret, and for a plain variable that is named like one."""
    by_reference = "put it in a Secret, and take it from there by valueFrom or a volume"
    if isinstance(part, str) and holds_secret(part):
        raise ValueError(f"one of its values looks like a secret; {by_reference}")
    name, value = (part.get("name"), part.get("value")) if isinstance(part, dict) else (None, None)
    if isinstance(name, str) and value and re.search(TELLING_NAME, name):
        raise ValueError(f"the variable {name[:80]!a} may hold a secret; {by_reference}")


def _is_named(value: Any, key: str) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) and isinstance(each.get(key), str) for each in value)


Affinity = Annotated[dict[str, Any], AfterValidator(_check_affinity)]
PodPatch = Annotated[dict[str, Any], AfterValidator(_check_patch)]
