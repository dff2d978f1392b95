"""Settings as people type them: `epsilon=3`, `hidden=64,32`, or a mapping."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from petlab.errors import UsageError
from petlab.result import Setting


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
