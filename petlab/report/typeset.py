"""The report in typst's language: the same parts as on the page, laid out for paper.

Every text goes in as a string literal, so that nothing in it can act as markup. Each cell of a
table notes when a word is wider than its column: `<overflow>` then holds the word and the excess.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from petlab.report.columns import (
    PADDING_PT,
    PAGE_PT,
    breakable,
    height,
    placed,
    shares,
    type_size,
    widest,
)
from petlab.report.document import (
    Bullets,
    Code,
    Counts,
    Document,
    Figure,
    Heading,
    Part,
    Section,
    Terms,
    Text,
)
from petlab.report.grid import Column, Entry, Grid

BRIEF_SIZES = (10.0, 9.5, 9.0, 8.5, 8.0, 7.5)
"""Sizes of type for page one, in points: the first that fits is taken."""
SIDES, FIGURE_PT = ("width", "height"), 400.0
"""Attributes of a figure's size, and how high it may be on a page."""
UNTORN_PT = 340.0
"""Tables that are lower stay on one page."""
PRELUDE = Path(__file__).parent / "report.typ"
FILLS = {"yes": "e2f1e5", "later": "fdf3d7", "never": "ececef"}
INKS = {"worse": "9c2a00", "better": "14532d", "same": "525a63", "gap": "525a63"}


@dataclass
class Typeset:
    """A report's source and, by file name, the figures that it shows."""

    text: str = ""
    figures: dict[str, str] = field(default_factory=dict)


def typeset(document: Document, *, brief_size: float, whole: bool = True) -> Typeset:
    """Write a report in typst's language; `whole=False` leaves all but page one out."""
    made = Typeset()
    lines = [
        PRELUDE.read_text(encoding="utf-8"),
        f"#show: report.with({literal(document.title)}, {literal(document.language)})",
        f"#brief({brief_size}pt, {literal(document.title)}, "
        f"{literal(f'petlab report, {document.date}')})[",
        *_parts(made, document.brief.parts),
        "]",
        "",
    ]
    for section in document.sections if whole else ():
        lines += _section(made, section)
    lines.append("#context [#metadata(here().page()) <last-page>]")
    made.text = "\n".join(lines) + "\n"
    return made


def literal(text: str) -> str:
    """Write a string in typst's code."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _section(made: Typeset, section: Section) -> Iterator[str]:
    yield f"#heading(level: 1, {literal(section.title)})"
    yield from _parts(made, section.parts)


def _parts(made: Typeset, parts: Iterable[Part]) -> Iterator[str]:
    for part in parts:
        match part:
            case Grid():
                yield from _table(part)
            case Text():
                yield f"#par({'strong' if part.strong else ''}({_text(part.text)}))"
            case Heading():
                yield f"#heading(level: 2, {literal(part.text)})"
            case Bullets():
                yield f"#list({', '.join(_text(item) for item in part.items)})"
            case Terms():
                for name, paragraphs in part.entries:
                    said = ", ".join(_text(text) for text in paragraphs)
                    yield f"#entry({_text(name)}, ({said},))"
            case Counts():
                counts = [f"({n}, {literal(t)}, {literal(m)})" for t, n, m in part.entries]
                yield f"#counts({', '.join(counts)})"
            case Code():
                yield f"#command({literal(part.text)})"
            case Figure():
                yield from _figure(made, part)


def _figure(made: Typeset, part: Figure) -> Iterator[str]:
    for place, svg in enumerate(part.drawing.printed):
        name = f"figure-{len(made.figures)}.svg"
        made.figures[name] = svg
        caption = part.caption if place == 0 else ""
        yield f"#plot({literal(name)}, {_width(svg):.0f}pt, {literal(caption)})"


def _width(svg: str) -> float:
    """Width in points with which a figure fits on a page below a heading."""
    width, height = (float(re.search(rf'{side}="([0-9.]+)pt"', svg)[1]) for side in SIDES)  # type: ignore[index]
    return min(PAGE_PT, FIGURE_PT * width / height)


def _text(text: str) -> str:
    return literal(breakable(text))


def _table(grid: Grid) -> Iterator[str]:
    widths = shares(grid)
    points = ", ".join(f"{width:.2f}pt" for width in widths)
    torn = "true" if height(grid) > UNTORN_PT else "false"
    yield f"#grid-table({literal(grid.caption)}, {type_size(grid)}pt, {torn}, ({points},), ("
    for columns in filter(None, (grid.upper, grid.columns)):
        at = 0
        for column in columns:
            yield _heading(column, sum(widths[at : at + column.span]))
            at += column.span
    yield "), ("
    for group in grid.groups:
        if group.title:
            yield f"group({len(grid.columns)}, {_text(group.title)}),"
        for at, entry in placed(group.rows, len(widths)):
            yield _cell(entry, sum(widths[at : at + entry.span]))
    yield f"), ({_strings(grid.notes)}))"


def _heading(column: Column, width: float) -> str:
    side, room = _side(column.style), _room(width, column.title)
    return f"top({column.span}, {side}, {room}, {_text(column.title)}, {_text(column.below)}),"


def _cell(entry: Entry, width: float) -> str:
    names = entry.style.split()
    fill = next((f'rgb("{FILLS[name]}")' for name in names if name in FILLS), "none")
    ink = next((f'rgb("{INKS[name]}")' for name in names if name in INKS), "black")
    note = literal(str(entry.note) if entry.note else "")
    return (
        f"cell({entry.span}, {entry.rows}, {_side(entry.style)}, {_room(width, entry.text)}, "
        f"{fill}, {ink}, {'true' if 'head' in names else 'false'}, {_text(entry.text)}, "
        f"{_text(entry.below)}, {note}),"
    )


def _room(width: float, text: str) -> str:
    """Width that a text has, and its widest word, which has to fit into it."""
    return f"{width - PADDING_PT:.2f}pt, {literal(widest(text))}"


def _side(style: str) -> str:
    names = style.split()
    return "right" if "number" in names else "center" if "mark" in names else "left"


def _strings(texts: Sequence[str]) -> str:
    return "".join(f"{_text(text)}, " for text in texts)
