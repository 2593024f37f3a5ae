"""Kinds of the cluster's options, each with its JSON schema: what Kubernetes would refuse is refused here."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field
from pydantic.config import JsonDict

from atb.errors import SpecError
from atb.redaction import PLAIN_NAME, TELLING_NAME, TELLING_VALUE, holds_secret, looks_like_secret
from launcher.kubernetes.api.quantity import QUANTITY, parse_quantity

DNS = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
LABEL = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
KEY = rf"({DNS}/)?{LABEL}"
"""A key of labels and annotations, and the name of a taint."""
_HOST_PART = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_PATH_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
IMAGE_NAME = rf"(?:(?:{_HOST_PART}(?:\.{_HOST_PART})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?/)?{_PATH_PART}(?:/{_PATH_PART})*"
"""An image without tag and digest, as registries have it: a host, then a path in small letters."""
_IMAGE = re.compile(rf"{IMAGE_NAME}(?::\w[\w.-]{{0,127}})?(?:@[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-f]+)?", re.ASCII)
_LEAST_BYTES = 1 << 20
ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_OWN_RESOURCE = "cpu|memory|ephemeral-storage|hugepages-.+"
_BY_REFERENCE = (
    "put it in a Secret (kubectl create secret generic NAME --from-env-file=FILE) and pass --env-from-secret NAME"
)
_LONGEST_DNS, _MOST_ANNOTATIONS = 253, 256 << 10

DnsName = Annotated[str, Field(pattern=rf"^{DNS}$", max_length=253)]
NamespaceName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
QueueName = Annotated[str, Field(pattern=rf"^{DNS}$", max_length=63)]
"""Of an object that a Job names in a label."""


def _check_quantity(text: str) -> str:
    try:
        parse_quantity(text)
    except SpecError as error:
        raise ValueError(str(error)) from None
    return text


Quantity = Annotated[
    str,
    AfterValidator(_check_quantity),
    Field(json_schema_extra={"pattern": f"^({QUANTITY.pattern})$"}, examples=["500m", "2", "8Gi"]),
]


def _check_size(text: str) -> str:
    if parse_quantity(text) < _LEAST_BYTES:
        raise ValueError(f"{text[:40]!r} is less than 1Mi of bytes; write 500Mi or 8Gi (m is a thousandth)")
    return text


Size = Annotated[Quantity, AfterValidator(_check_size), Field(examples=["500Mi", "8Gi"])]
"""Of memory or a volume."""


def _check_image(text: str) -> str:
    if not _IMAGE.fullmatch(text) and not holds_secret(text):  # which is refused without repeating it
        raise ValueError(f"{text[:80]!a} is no image: write it in small letters, like registry.example/team/atb:1.0")
    return text


ImageName = Annotated[str, AfterValidator(_check_image)]


def _is_key(text: str) -> bool:
    return bool(re.fullmatch(KEY, text)) and len(text.rpartition("/")[0]) <= _LONGEST_DNS


def _check_keys(found: dict[str, str]) -> None:
    for name in found:
        if not _is_key(name):
            raise ValueError(f"{name[:80]!a} is no key for Kubernetes; write it like team or example.com/team")


def is_label_value(text: str) -> bool:
    """Whether Kubernetes takes it as the value of a label or a taint."""
    return bool(re.fullmatch(f"({LABEL})?", text))


def _check_labels(found: dict[str, str]) -> dict[str, str]:
    _check_keys(found)
    for name, value in found.items():
        if not is_label_value(value):
            raise ValueError(
                f"{value[:80]!a}, the value of {name}, is none for Kubernetes: it takes up to 63 letters, digits, -, _ "
                "and ., a letter or digit first and last"
            )
    return found


def _check_annotations(found: dict[str, str]) -> dict[str, str]:
    _check_keys(found)
    for name, value in found.items():
        if holds_secret(value):
            raise ValueError(
                f"the value of {name} looks like a secret, and whoever sees the Pods can read it; leave it out"
            )
    if sum(len(f"{name}{value}".encode()) for name, value in found.items()) > _MOST_ANNOTATIONS:
        raise ValueError(f"they have more than {_MOST_ANNOTATIONS >> 10} KiB together, which Kubernetes refuses")
    return found


def _check_resources(found: dict[str, str]) -> dict[str, str]:
    for name, amount in found.items():
        extended = "/" in name
        if not _is_key(name) or not (extended or re.fullmatch(_OWN_RESOURCE, name)):
            raise ValueError(f"{name[:80]!a} is no resource of a Pod; write its full name, like rdma/hca")
        if extended and parse_quantity(amount) % 1:
            raise ValueError(f"{amount[:40]!a} of {name}: Kubernetes counts it in whole ones")
    return found


def _check_tolerations(found: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
    for each in found:
        key, value, operator, effect = (each.get(name) or "" for name in ("key", "value", "operator", "effect"))
        if key and not (isinstance(key, str) and _is_key(key)):
            raise ValueError(f"{str(key)[:80]!a} is no taint's key; write it like dedicated or example.com/dedicated")
        if not is_label_value(str(value)):
            raise ValueError(f"{str(value)[:80]!a} is no taint's value")
        if operator not in ("", "Equal", "Exists") or (not key and operator != "Exists"):
            raise ValueError(
                f"a toleration of {key or 'no key'}: write KEY, KEY=VALUE, or operator: Exists without a key"
            )
        if effect not in ("", *EFFECTS):
            raise ValueError(f"{str(effect)[:40]!a} is no taint's effect; write one of {', '.join(EFFECTS)}")
    return found


def _keyed(pattern: str, value: JsonDict) -> JsonDict:
    # by patternProperties: helm names another place for what propertyNames refuses
    return {"patternProperties": {f"^{pattern}$": value}, "additionalProperties": False}


_LABELS = _keyed(KEY, {"type": "string", "pattern": f"^({LABEL})?$"})
_ANNOTATIONS = _keyed(KEY, {"type": "string"})
Labels = Annotated[dict[str, str], AfterValidator(_check_labels), Field(json_schema_extra=_LABELS)]
Annotations = Annotated[dict[str, str], AfterValidator(_check_annotations), Field(json_schema_extra=_ANNOTATIONS)]
Resources = Annotated[dict[str, Quantity], AfterValidator(_check_resources)]
Tolerations = Annotated[tuple[dict[str, Any], ...], AfterValidator(_check_tolerations)]


def _check_env(found: dict[str, str]) -> dict[str, str]:
    for name, value in found.items():
        if looks_like_secret(name, value):
            raise ValueError(f"the value of {name} looks like a secret; {_BY_REFERENCE}")
        if not PLAIN_NAME.fullmatch(name) or re.search(TELLING_NAME, name):
            raise ValueError(f"{name} may hold a secret; {_BY_REFERENCE}, or --env-plain {name}=… where it is none")
    return found


def _check_env_plain(found: dict[str, str]) -> dict[str, str]:
    for name, value in found.items():
        if not ENV_NAME.fullmatch(name):
            raise ValueError("what stands before = is not the name of an environment variable")
        if holds_secret(value):
            raise ValueError(f"the value of {name} looks like a secret; {_BY_REFERENCE}")
    return found


_PLAIN_VALUE: JsonDict = {"type": "string", "not": {"pattern": TELLING_VALUE}}
ENV_SCHEMA: JsonDict = {
    "patternProperties": {PLAIN_NAME.pattern: _PLAIN_VALUE, TELLING_NAME: False},
    "additionalProperties": False,
}
ENV_PLAIN_SCHEMA: JsonDict = {
    "patternProperties": {f"^{ENV_NAME.pattern}$": _PLAIN_VALUE},
    "additionalProperties": False,
}
Env = Annotated[dict[str, str], AfterValidator(_check_env), Field(json_schema_extra=ENV_SCHEMA)]
EnvPlain = Annotated[dict[str, str], AfterValidator(_check_env_plain), Field(json_schema_extra=ENV_PLAIN_SCHEMA)]
