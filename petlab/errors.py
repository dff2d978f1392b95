"""The errors petlab raises on purpose: what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PetlabError(Exception):
    """Base of every deliberate error. `exit_status` is what the command line returns."""

    exit_status = 4


class UsageError(PetlabError):
    """A name, setting or argument that petlab does not know or cannot accept."""

    exit_status = 2


class DataError(PetlabError):
    """Data or a card that must not be computed on. Names row and column, never the value."""

    exit_status = 2


class Unsupported(PetlabError):
    """An operation that a technique does not offer; carries the typed gap."""

    exit_status = 3


class MissingPackage(PetlabError):
    """A library that a technique needs is not installed."""

    exit_status = 3


class ProtocolError(PetlabError):
    """A message, ciphertext or party is not what the protocol expects."""


class OutOfRange(PetlabError):
    """A value exceeds the public bound that was declared for it."""


class PlanExceeded(PetlabError):
    """A program asked for more than its plan declared before the data was touched."""


def closest(name: str, known: Iterable[str]) -> str:
    """Phrase the nearest known names: a hint to end an error message with."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    return f"Known: {', '.join(names)}." if names else "None is known."


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Make the error for a name that is not among the known ones."""
    return UsageError(f"unknown {kind} {name!r}. {closest(name, known)}")
