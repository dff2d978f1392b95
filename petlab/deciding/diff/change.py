"""What `petlab diff` says of a cell."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from petlab.running.result import Cell

Value = str | float | None


class Verdict(StrEnum):
    """What became of a cell."""

    SAME = "as before"
    IMPROVED = "improved"
    NEW = "new"
    REGRESSED = "regressed"
    GONE = "gone"

    @property
    def is_regression(self) -> bool:
        """Whether it makes `petlab diff` exit with 1."""
        return self in (Verdict.REGRESSED, Verdict.GONE)


@dataclass(frozen=True)
class Change:
    """One value that moved by more than is allowed.

    Attributes
    ----------
    what
        "status", a metric, a cost or a field of the guarantee.
    allowed
        How far the value may move, or None where it may not move at all.
    """

    what: str
    old: Value
    new: Value
    worse: bool
    allowed: float | None = None


@dataclass(frozen=True)
class CellDiff:
    """A cell before and now.

    Attributes
    ----------
    uncompared
        What could not be compared and why, or None.
    seconds
        How long the cell took now; 0 when it is gone or did not run.
    """

    cell: Cell
    changes: tuple[Change, ...] = ()
    presence: Verdict = Verdict.SAME
    uncompared: str | None = None
    seconds: float = 0.0

    @property
    def verdict(self) -> Verdict:
        """The worst that can be said of the cell."""
        if self.presence is not Verdict.SAME:
            return self.presence
        if any(change.worse for change in self.changes):
            return Verdict.REGRESSED
        return Verdict.IMPROVED if self.changes else Verdict.SAME
