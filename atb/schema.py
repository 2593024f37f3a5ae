"""How every document is written and read: strict JSON with a schema version."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, ValidationError, model_serializer

from atb.errors import SpecError


@dataclass(frozen=True, slots=True)
class Option:
    """How a field of a model can be given, beside its name: in ``Annotated``, with the description in ``Field``.

    ``heading`` is its part of ``--help``; ``metavar`` the kind or unit of its value, such as BARS. ``flag`` is the
    whole declaration where it is not ``--field-name``; None where no flag can say it.
    """

    heading: str
    metavar: str = ""
    flag: str | None = ""


def canonical_json(value: Any) -> bytes:
    """The one spelling of a value that is hashed: sorted keys, no spaces. Raises ValueError on NaN or Infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def readable_json(value: Any) -> bytes:
    """The spelling of a value that people open. Raises ValueError on NaN or Infinity."""
    return (json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()


class Part(BaseModel):
    """A frozen part of a document."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", allow_inf_nan=False, validate_by_name=True, validate_by_alias=True
    )


class SparsePart(Part):
    """A part whose unset fields are left out of the document."""

    @model_serializer(mode="wrap")
    def _leave_out_unset(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in serialize(self).items() if value not in (None, {})}


class Document(BaseModel):
    """A frozen document with a schema version. Unknown fields are tolerated, an unknown major version is not."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, ser_json_inf_nan="strings")

    kind: ClassVar[str]
    major: ClassVar[int] = 1

    schema_version: str = "1.0"

    def to_bytes(self) -> bytes:
        """The document as readable JSON."""
        return readable_json(self.model_dump(mode="json", by_alias=True))

    @classmethod
    def from_bytes(cls, data: bytes | str, where: str) -> Self:
        """Read a document. Raises SpecError that names ``where`` for anything but a valid one of a known version."""
        try:
            raw = json.loads(data)
            version = str(raw["schema_version"])
        except (ValueError, KeyError, TypeError):
            raise SpecError(f"{where} is not a {cls.kind} document: no JSON with a schema_version") from None
        if version.split(".")[0] != str(cls.major):
            raise SpecError(
                f"{where} is a {cls.kind} of schema {version}; this version reads {cls.major}.x: upgrade atb"
            )
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            raise SpecError(f"{where} is not a valid {cls.kind}: {first_problem(error)}") from None


def first_problem(error: ValidationError) -> str:
    """The first problem pydantic found, in words: ``epochs 0: should be greater than or equal to 1``."""
    problem = error.errors()[0]
    field = ".".join(str(part) for part in problem["loc"]) or "document"
    if problem["type"] == "value_error":  # our own sentence, which names the value
        return f"{field}: {problem['msg'].removeprefix('Value error, ')}"
    value = "" if problem["type"] == "missing" else f" {problem['input']!s:.40}"
    return f"{field}{value}: {problem['msg'].removeprefix('Input ')}"
