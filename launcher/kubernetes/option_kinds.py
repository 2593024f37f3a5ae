"""Kinds of the cluster's options: names, quantities, environment variables, each with its JSON schema."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field
from pydantic.config import JsonDict

from atb.redaction import PLAIN_NAME, TELLING_NAME, TELLING_VALUE
from launcher.kubernetes.api.quantity import QUANTITY

DNS = r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"
LABEL = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

DnsName = Annotated[str, Field(pattern=rf"^{DNS}$", max_length=253)]
Quantity = Annotated[
    str, Field(json_schema_extra={"pattern": f"^({QUANTITY.pattern})$"}, examples=["500m", "2", "8Gi"])
]


_PLAIN_VALUE: JsonDict = {"type": "string", "not": {"pattern": TELLING_VALUE}}
# by patternProperties: helm names another place for what propertyNames refuses
ENV_SCHEMA: JsonDict = {
    "patternProperties": {PLAIN_NAME.pattern: _PLAIN_VALUE, TELLING_NAME: False},
    "additionalProperties": False,
}
ENV_PLAIN_SCHEMA: JsonDict = {
    "patternProperties": {f"^{ENV_NAME.pattern}$": _PLAIN_VALUE},
    "additionalProperties": False,
}
