"""Settings: how tasks and techniques declare them, and how people type them.

A settings class is a frozen dataclass whose fields are made by `setting`. People write
`epsilon=3`, `hidden=64,32`, or a mapping.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from petlab.data.schema import fits
from petlab.errors import UsageError, unknown

Setting = str | int | float | bool | None

LARGEST = 2.0**53
"""Settings that are numbers are no larger: whole numbers are exact up to here."""


def positive(**values: float) -> None:
    """Refuse settings that are zero or less.

    Raises
    ------
    UsageError
        With the setting's name.
    """
    for name, value in values.items():
        if not value > 0:
            raise UsageError(f"{name} must be positive, not {value:g}.")


@dataclass(frozen=True)
class SettingField:
    """One setting as help shows it."""

    name: str
    default: Setting
    help: str


def setting(default: Setting, help: str) -> Any:
    """Declare a setting with its default and one line of help."""
    return field(default=default, metadata={"help": help})


def describe_settings(owner: type) -> list[SettingField]:
    """List the settings of a task or technique."""
    return [
        SettingField(f.name, getattr(owner, f.name), f.metadata.get("help", ""))
        for f in fields(owner)
    ]


def split_settings(
    given: Mapping[str, Setting], owners: Iterable[type]
) -> list[dict[str, Setting]]:
    """Hand each setting to the dataclass that declares it, cast to its default's type.

    A setting without a default value has to be of its field's type.

    Raises
    ------
    UsageError
        A setting is unknown to all, or its value is of the wrong type.
    """
    owners = list(owners)
    declared = [{f.name: f for f in describe_settings(owner)} for owner in owners]
    shares: list[dict[str, Setting]] = [{} for _ in declared]
    for name, value in given.items():
        matches = [k for k, names in enumerate(declared) if name in names]
        if not matches:
            raise unknown("setting", name, {n for names in declared for n in names})
        for k in matches:
            cast = _cast(name, value, declared[k][name].default)
            if not fits(cast, owners[k], name):
                raise UsageError(f"setting {name!r} is of another kind: `petlab list` shows which.")
            shares[k][name] = cast
    return shares


def parse_pairs(pairs: Iterable[str]) -> dict[str, Setting]:
    """Read `key=value` texts; numbers, true, false and null become what they say.

    Raises
    ------
    UsageError
        A text has no equals sign.
    """
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (equals and name.strip()):
            raise UsageError(f"{pair!r} is not of the form key=value.")
        found[name.strip()] = _literal(value.strip())
    return found


def parse_settings(settings: Mapping[str, Any] | str | None) -> dict[str, Setting]:
    """Read settings given as a mapping, as JSON, or as `key=value` separated by spaces."""
    if not settings:
        return {}
    if isinstance(settings, str):
        if settings.lstrip().startswith("{"):
            return parse_settings(json.loads(settings))
        return parse_pairs(settings.replace(";", " ").split())
    for name, value in settings.items():
        if not isinstance(value, str | int | float | bool | None):
            raise UsageError(f"setting {name!r} must be a number, a text, true, false or null.")
    return dict(settings)


def _literal(text: str) -> Setting:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if text.lower() in ("null", "none"):
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _cast(name: str, value: Setting, default: Setting) -> Setting:
    if value is None and isinstance(default, str):
        return "none"  # what was typed: twin=none is read as null
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and not abs(value) <= LARGEST:  # type: ignore[arg-type]
        raise UsageError(f"setting {name!r} takes a finite number of at most {LARGEST:g}.")
    if default is None or type(value) is type(default):
        return value
    if value is None or isinstance(default, bool) or isinstance(value, bool):
        raise UsageError(f"setting {name!r} takes {type(default).__name__}, like {default!r}.")
    try:
        if isinstance(default, int) and float(value) != int(float(value)):
            raise ValueError
        return type(default)(float(value)) if isinstance(default, int) else type(default)(value)
    except (TypeError, ValueError, OverflowError):
        raise UsageError(
            f"setting {name!r} takes {type(default).__name__}, like {default!r}."
        ) from None
