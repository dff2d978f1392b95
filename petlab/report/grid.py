"""A table as data: what the template draws, whatever it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Entry:
    """One cell of a table.

    Attributes
    ----------
    below
        A second, smaller line.
    style
        "number" (right-aligned), "text", "head" (a row's header), or a colour name of the
        style sheet.
    span, rows
        Columns and rows that it covers.
    note
        Number of the footnote it points to.
    """

    text: str
    below: str = ""
    style: str = "text"
    span: int = 1
    rows: int = 1
    note: int | None = None


@dataclass(frozen=True)
class Column:
    """A column's heading, with what a reader needs to judge it (measured, unit) below."""

    title: str
    below: str = ""
    style: str = "number"
    span: int = 1
    width: str = ""


@dataclass(frozen=True)
class Group:
    """Rows under one heading, such as all of one data set."""

    title: str
    rows: Sequence[Sequence[Entry]]


@dataclass
class Grid:
    """A captioned table with numbered footnotes."""

    caption: str
    columns: Sequence[Column]
    groups: list[Group] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    upper: Sequence[Column] = ()
    style: str = ""

    def note(self, text: str) -> int:
        """Return the number of a footnote, adding it when it is new."""
        if text not in self.notes:
            self.notes.append(text)
        return self.notes.index(text) + 1


def head(text: str, *, below: str = "", rows: int = 1, note: int | None = None) -> Entry:
    """Make a row's header."""
    return Entry(text, below, style="head", rows=rows, note=note)


def number(text: str, below: str = "") -> Entry:
    """Make a right-aligned entry."""
    return Entry(text, below, style="number")
