"""How every document is written and read: strict JSON with a schema version."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn, Self

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, ValidationError, model_serializer

from atb.errors import AtbError, Unreadable
from atb.redaction import looks_like_secret


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
        frozen=True,
        extra="ignore",
        allow_inf_nan=False,
        validate_by_name=True,
        validate_by_alias=True,
        ser_json_inf_nan="constants",  # so that they are seen, and refused, where a document is written
    )


class Frequent(BaseModel):
    """Parts that exist by the thousand: those with the same fields set share the set of their names, which takes more
    memory than the values do."""

    def model_post_init(self, context: Any, /) -> None:
        """Called by pydantic once the fields are there."""
        names = self.__pydantic_fields_set__
        object.__setattr__(self, "__pydantic_fields_set__", _NAMES.setdefault(frozenset(names), names))


class FrequentPart(Frequent, Part):
    """A part of which a document has thousands."""


_NAMES: dict[frozenset[str], set[str]] = {}


class SparsePart(Part):
    """A part whose unset fields are left out of the document."""

    @model_serializer(mode="wrap")
    def _leave_out_unset(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in serialize(self).items() if value not in (None, {})}


class Document(BaseModel):
    """A frozen document with a schema version, sealed by a digest of its own content.

    Unknown fields are tolerated, an unknown major version is not.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, ser_json_inf_nan="strings")

    kind: ClassVar[str]
    major: ClassVar[int] = 1
    largest: ClassVar[int] = 8 << 20
    """Bytes; what is larger is not read."""
    sealed: ClassVar[bool] = True

    schema_version: str = "1.0"

    def to_bytes(self) -> bytes:
        """The document as readable JSON, with its digest. Raises ValueError on NaN or Infinity."""
        data = self.__pydantic_serializer__.to_json(self, indent=2, by_alias=True)
        if b"NaN" in data or b"Infinity" in data:  # a number, which is refused, or a text
            data = readable_json(self.model_dump(mode="json", by_alias=True))[:-1]
        if not self.sealed:
            return data + b"\n"
        head = _VERSION.match(data)
        if head is None:
            raise AssertionError("a document begins with its schema_version")
        more = b"," if head[1] else b""
        start, end = data[: head.end()] + (b"" if more else b",") + f'\n  "{_SEAL}": "'.encode(), b'"' + more
        rest = memoryview(data)[head.end() :]  # documents can be of many MB
        return b"".join((start, _digest(start, _BLANK, end, rest, b"\n"), end, rest, b"\n"))

    @classmethod
    def from_bytes(cls, data: bytes | str, where: str) -> Self:
        """Read a document. Raises Unreadable that names ``where`` for anything but a valid one of a known version."""
        data = data.encode() if isinstance(data, str) else data
        validate_size(cls, len(data), where)
        _validate_values(cls, data, where)
        try:
            document = cls.model_validate_json(data)
        except (ValidationError, RecursionError, AtbError) as error:  # a validator's own refusal
            raise _explain(cls, data, where, error) from None
        if "schema_version" not in document.model_fields_set or _major(document.schema_version) != cls.major:
            raise _explain(cls, data, where, None)
        if not is_sealed(data) and _STRANGE_NUMBER.search(data):  # what is sealed was written without
            _refuse_numbers(cls, data, where)
        if is_altered(data):
            raise Unreadable(
                f"{where} was altered or damaged: its content is not what its own digest says; {_REMEDY}", where
            )
        return document


_SEAL, _BLANK = "content_sha256", b"0" * 64
_SEALED = f'"{_SEAL}"'.encode()
_HEAD = re.compile(rb'\A\{\s*"schema_version": "[^"]*",\s*"content_sha256": "([0-9a-f]{64})"')
_VERSION = re.compile(rb'\A\{\n  "schema_version": "(?:[^"\\\n]|\\.)*"(,?)')
_STRANGE_NUMBER = re.compile(rb"NaN|Infinity|[:\[,]\s*-?[0-9]{19}")
_MOST_DIGITS = 18
_LONGEST_REASON = 400
"""Characters of why a document or an option is refused: a value can be of any length."""
_REMEDY = "see: atb-launch store check"
_SHORTEST_VALUE = 24
"""Bytes of a value with its name, on average, where an object or array counts as several values: a plan's, which is our
largest document, have 26."""
_OBJECT = 4
"""Values that take as much memory as an object or array: some 1,400 bytes, and a value 350."""


def is_sealed(data: bytes) -> bool:
    """Whether a document carries a digest of its own content; those of earlier versions don't."""
    return _SEALED in data


def is_altered(data: bytes) -> bool:
    """Whether a document carries a digest that is not the one of its bytes. The digest is over the document as it is
    written, with zeros in the digest's own place."""
    match = _HEAD.match(data)
    if match is None:
        return is_sealed(data)
    start, end = match.span(1)
    view = memoryview(data)
    return _digest(view[:start], _BLANK, view[end:]) != match[1]


def validate_size(kind: type[Document], size: int, where: str) -> None:
    """Raises Unreadable where an object is larger than any document of its kind."""
    if size > kind.largest:
        words = f"it has {size:,} bytes, at most are {kind.largest:,}"
        raise Unreadable(f"{where} is not a {kind.kind} document: {words}; {_REMEDY}", where)


def _validate_values(kind: type[Document], data: bytes, where: str) -> None:
    """Raises Unreadable for far more values than any document of that size has: each takes hundreds of bytes while it
    is read, and as few as two before."""
    most = kind.largest // _SHORTEST_VALUE
    if len(data) <= most:
        return
    values = data.count(b",") + _OBJECT * (data.count(b"{") + data.count(b"["))
    if values > most:
        words = f"it has {values:,} values, at most are {most:,}"
        raise Unreadable(f"{where} is not a {kind.kind} document: {words}; {_REMEDY}", where)


def _refuse_numbers(kind: type[Document], data: bytes, where: str) -> None:
    """Raises Unreadable for NaN and Infinity, which are not JSON, and for integers far larger than any of ours, with
    which arithmetic fails."""

    def refuse(what: str) -> NoReturn:
        words = printable(what, 20)
        raise Unreadable(f"{where} is not a valid {kind.kind}: it holds the number {words}; {_REMEDY}", where)

    def read(digits: str) -> int:
        return int(digits) if len(digits.lstrip("-")) <= _MOST_DIGITS else refuse(digits)

    json.loads(data, parse_constant=refuse, parse_int=read)


def _digest(*parts: bytes | memoryview) -> bytes:
    """Digest of the concatenated parts; large documents are not copied for it."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest().encode()


def _major(version: str) -> int | None:
    head = version.split(".")[0]
    return int(head) if head.isascii() and head.isdigit() and len(head) < 9 else None


def _explain(kind: type[Document], data: bytes, where: str, error: Exception | None) -> Unreadable:
    """Why a document could not be read: it is not JSON, of another version, or invalid."""
    try:
        version = str(json.loads(data)["schema_version"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return Unreadable(f"{where} is not a {kind.kind} document: no JSON with a schema_version; {_REMEDY}", where)
    if _major(version) != kind.major:
        words = f"is a {kind.kind} of schema {printable(version, 20)}; this version reads {kind.major}.x: upgrade atb"
        return Unreadable(f"{where} {words}", where)
    problem = "it is nested too deeply"
    if isinstance(error, ValidationError | AtbError):
        problem = printable(str(error), _LONGEST_REASON) if isinstance(error, AtbError) else first_problem(error)
    return Unreadable(f"{where} is not a valid {kind.kind}: {problem}; {_REMEDY}", where)


def printable(text: str, most: int = 500) -> str:
    """One line of the text that a terminal shows as it is: no control characters, no escape sequences."""
    cut = text if len(text) <= most else f"{text[: most - 1]}…"
    return "".join(each if each.isprintable() else " " if each in "\n\t" else "\ufffd" for each in cut)


def first_problem(error: ValidationError) -> str:
    """The first problem pydantic found, in words: ``epochs 0: should be greater than or equal to 1``."""
    problem = error.errors()[0]
    field = ".".join(printable(str(part), 60) for part in problem["loc"])
    if problem["type"] == "value_error":  # our own sentence, which names the value
        words = printable(problem["msg"].removeprefix("Value error, "), _LONGEST_REASON)
        return f"{field}: {words}" if field else words
    if problem["type"] == "extra_forbidden":
        return f"{field}: it is unknown"
    value, words = str(problem["input"])[:_LONGEST_REASON], problem["msg"].removeprefix("Input ")
    for ours, theirs in (("list", "valid tuple"), ("mapping", "valid dictionary")):
        words = words.replace(theirs, ours)
    shown = problem["type"] != "missing" and not looks_like_secret(field, value)
    return f"{field or 'document'}{f' {printable(value, 40)}' if shown else ''}: {words}"
