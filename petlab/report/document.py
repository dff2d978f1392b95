"""A report as data: sections made of parts, which HTML and PDF draw each in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from petlab.report.grid import Grid
from petlab.study.plot import Drawing


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    strong: bool = False


@dataclass(frozen=True)
class Heading:
    """A heading below the section's."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list without order."""

    items: Sequence[str]


@dataclass(frozen=True)
class Terms:
    """Names and, for each, paragraphs about it."""

    entries: Sequence[tuple[str, Sequence[str]]]


@dataclass(frozen=True)
class Counts:
    """Numbers that stand out: title, number and meaning."""

    entries: Sequence[tuple[str, int, str]]


@dataclass(frozen=True)
class Code:
    """What a reader types."""

    text: str


@dataclass(frozen=True)
class Figure:
    """A plot with its caption."""

    drawing: Drawing
    caption: str


Part = Text | Heading | Bullets | Terms | Counts | Code | Figure | Grid


@dataclass(frozen=True)
class Section:
    """What stands under one heading; `key` names it in links."""

    key: str
    title: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Document:
    """The whole report: page one and the sections behind it."""

    language: str
    title: str
    date: str
    brief: Section
    sections: Sequence[Section]
