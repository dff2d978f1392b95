"""Whether a record that was read from a file holds what its fields say it holds."""

from __future__ import annotations

import json
import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from petlab.errors import UsageError


def check_types(record: Any, what: str) -> None:
    """Refuse a record with a value of another type than its field's, however deep it lies.

    Parameters
    ----------
    record
        An instance of a dataclass.
    what
        What it is, for the error.

    Raises
    ------
    UsageError
        With the path of the field, and not the value.
    """
    kind: Any = type(record)
    for field in fields(record):
        wrong = _wrong(getattr(record, field.name), _hints(kind)[field.name], field.name)
        if wrong:
            raise UsageError(f"{what}: {wrong} is not what it should be.")


def fits(value: Any, kind: type, field: str) -> bool:
    """Whether a value is of a dataclass field's type."""
    return _wrong(value, _hints(kind)[field], field) is None


def read_json(text: str) -> Any:
    """Read JSON, without the numbers that are none.

    Raises
    ------
    ValueError
        It is no JSON, or holds NaN or Infinity.
    """

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is no number")

    def finite(number: str) -> float:
        return float(number) if math.isfinite(float(number)) else refuse(number)

    return json.loads(text, parse_constant=refuse, parse_float=finite)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _wrong(value: Any, hint: Any, path: str) -> str | None:
    """Path of the first thing that does not fit, or None."""
    origin, inside = get_origin(hint), get_args(hint)
    if hint is Any:
        return None
    if origin in (Union, types.UnionType):
        return None if any(_wrong(value, one, path) is None for one in inside) else path
    if origin is Literal:
        return None if value in inside else path
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            return path
        pairs = ((f"{path}.{k}", k, v) for k, v in value.items())
        found = (_wrong(k, inside[0], at) or _wrong(v, inside[1], at) for at, k, v in pairs)
        return next(filter(None, found), None)
    if origin is not None and issubclass(origin, Sequence):
        if not isinstance(value, origin):
            return path
        each = inside[:1] * len(value) if origin is list or inside[-1] is Ellipsis else inside
        if len(each) != len(value):
            return path
        parts = zip(value, each, strict=True)
        return next(filter(None, (_wrong(v, h, f"{path}[]") for v, h in parts)), None)
    return _wrong_atom(value, hint, path)


def _wrong_atom(value: Any, hint: Any, path: str) -> str | None:
    if is_dataclass(hint):
        if not isinstance(value, hint):  # type: ignore[arg-type]
            return path
        found = (
            _wrong(getattr(value, f.name), _hints(hint)[f.name], f"{path}.{f.name}")  # type: ignore[arg-type]
            for f in fields(hint)
        )
        return next(filter(None, found), None)
    if hint is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return None if number and math.isfinite(value) else path
    if hint is int:
        return None if isinstance(value, int) and not isinstance(value, bool) else path
    if hint in (None, type(None)):
        return None if value is None else path
    if isinstance(hint, type) and (issubclass(hint, Enum) or hint in (str, bool, bytes)):
        return None if isinstance(value, hint) else path
    return None if isinstance(value, hint) else path
