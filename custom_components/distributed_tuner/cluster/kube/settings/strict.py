"""Settings that are taken as written, or rejected."""

from __future__ import annotations

import json
from typing import Any

import pydantic

_PLAIN = (bool, int, float, str)


class Strict(pydantic.BaseModel):
    """Rejects unknown fields, and is immutable."""

    class Config:
        """pydantic's configuration."""

        allow_mutation = False
        extra = "forbid"
        validate_all = True

    @pydantic.validator("*", pre=True)
    def _no_conversions(cls, value: Any, field: pydantic.fields.ModelField) -> Any:  # noqa: N805
        """pydantic would turn 2.7 and "2" into 2, and 1 into "1"."""
        if isinstance(value, (dict, list, tuple)) and field.type_ is str:
            for place, each in value.items() if isinstance(value, dict) else enumerate(value):
                if not isinstance(each, str):
                    raise ValueError(f"{place}: expected a text, got {each!r}; write it in quotes: {_quoted(each)}")
        if value is None or field.shape != pydantic.fields.SHAPE_SINGLETON:
            return value
        # A field with limits has a type of pydantic's own, derived from int, float or str.
        kind = next((kind for kind in _PLAIN if isinstance(field.type_, type) and issubclass(field.type_, kind)), None)
        right, words = {
            None: (True, ""),
            bool: (isinstance(value, bool), "true or false"),
            int: (type(value) is int, "a whole number"),
            float: (type(value) in (int, float), "a number"),
            str: (isinstance(value, str), "a text"),
        }[kind]
        if not right:
            raise ValueError(f"expected {words}, got {value!r}")
        return value


def _quoted(value: Any) -> str:
    """What a person who wrote this in YAML without quotes probably meant."""
    return json.dumps(str(value).lower() if isinstance(value, bool) else str(value))
