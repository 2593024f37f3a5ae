"""From the flags of a command to a model of options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from atb.errors import SpecError

if TYPE_CHECKING:
    from pydantic import BaseModel

_Model = TypeVar("_Model", bound="BaseModel")


def read_options(model: type[_Model], given: Mapping[str, Any]) -> _Model:
    """The model's options among those that a command was given. Raises SpecError that names the first wrong flag."""
    from pydantic import ValidationError

    from atb.schema import first_problem

    fields = {name: given[name] for name in model.model_fields if given.get(name) is not None}
    try:
        return model(**fields)
    except ValidationError as error:
        raise SpecError(f"--{first_problem(error).replace('_', '-')}") from None
