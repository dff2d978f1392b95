"""How wide a printed table's columns are: a word fits into each, and long texts get the rest."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from petlab.report.grid import Entry, Grid

BREAK = "\u200b"
"""Where a line may break without a sign."""
PAGE_PT = 757.0
"""Width of a landscape A4 page between its margins."""
PADDING_PT = 7.0
LARGEST_PT, SMALLEST_PT = 8.0, 5.5
UNIT = re.compile(r"(\d) (ms|s|min|h|[kMGT]?B|MiB|×|%)(?![\w])")
"""A number and its unit, which stay on one line."""
LONG = 14
"""Longer words without a space may break."""
NARROW_EM, CAPITAL_EM, BROAD_EM, WIDE_EM = 0.58, 0.75, 0.92, 1.0
"""Width of a letter, a capital or a plus, an m, and a Japanese sign."""
AIR, SPACE_EM = 1.08, 0.5
"""What is added where there is room, as between Japanese and Latin letters."""
ENOUGH, ENOUGH_HEADING = 40.0, 10.5
"""A column wants no more than this many em for its texts, and for its heading."""


def breakable(text: str) -> str:
    """Let long names, formulas and checksums break where it does least harm; units stay."""
    kept = UNIT.sub("\\1\u00a0\\2", text)
    return re.sub(rf"[!-~]{{{LONG},}}", lambda found: _broken(found.group()), kept)


def shares(grid: Grid) -> list[float]:
    """Width of each column in points, at the size of type that `type_size` names."""
    size = type_size(grid)
    least = [width * size + PADDING_PT for width in _needed(grid)]
    wanted = [(width * AIR + SPACE_EM) * size + PADDING_PT for width in _wanted(grid)]
    spare = PAGE_PT - sum(least)
    more = [max(0.0, w - n) for w, n in zip(wanted, least, strict=True)]
    scale = min(1.0, max(0.0, spare) / (sum(more) or 1.0))
    return [n + scale * m for n, m in zip(least, more, strict=True)]


def type_size(grid: Grid) -> float:
    """Size of type, in points, at which every column's longest word fits."""
    needed = _needed(grid)
    room = (PAGE_PT - PADDING_PT * len(needed)) / sum(needed)
    return round(max(SMALLEST_PT, min(LARGEST_PT, room * 0.98)), 1)


def _needed(grid: Grid) -> list[float]:
    """Longest unbreakable word of each column, in em; numbers stay on one line."""
    return [
        max([2.0, *(max((_em(word) for word in _words(text)), default=0.0) for text in texts)])
        for texts in _texts(grid)
    ]


def _wanted(grid: Grid) -> list[float]:
    """Width that each column would take to need no break, within reason, in em."""
    return [
        max(
            min(ENOUGH_HEADING, max(map(_em, texts[:2]))),
            min(ENOUGH, max((_em(line) for t in texts[2:] for line in t.split("\n")), default=2.0)),
        )
        for texts in _texts(grid)
    ]


def _texts(grid: Grid) -> list[list[str]]:
    """All texts of each column, its heading's two first; what spans several is left out."""
    found: list[list[str]] = [[c.title, c.below] for c in grid.columns]
    at_heads = 0
    for column in grid.upper:
        if column.span == 1:
            found[at_heads] += [column.title, column.below]
        at_heads += column.span
    for group in grid.groups:
        for at, entry in placed(group.rows, len(found)):
            if entry.span == 1:
                found[at] += [entry.text, entry.below]
    return found


def placed(rows: Sequence[Sequence[Entry]], columns: int) -> Iterator[tuple[int, Entry]]:
    """Each cell with its first column, past the cells that reach down from rows above."""
    reaching = [0] * columns
    for row in rows:
        covered = [n > 0 for n in reaching]
        reaching = [max(0, n - 1) for n in reaching]
        at = 0
        for entry in row:
            while at < columns and covered[at]:
                at += 1
            yield at, entry
            reaching[at : at + entry.span] = [entry.rows - 1] * min(entry.span, columns - at)
            at += entry.span


def widest(text: str) -> str:
    """Find the piece that does not break and is probably the widest."""
    return max(_words(text), key=_em, default="")


def height(grid: Grid) -> float:
    """Estimate a table's height in points."""
    size, widths = type_size(grid), shares(grid)
    lines = 3.0
    for group in grid.groups:
        lines += 1.5 if group.title else 0.0
        for row in group.rows:
            cells = placed([row], len(widths))
            lines += max(
                (_lines(e, sum(widths[at : at + e.span]), size) for at, e in cells), default=1
            )
    return lines * 1.45 * size


def _lines(entry: Entry, width: float, size: float) -> float:
    """Lines of type, padding included, that a cell takes."""
    room = max(1.0, (width - PADDING_PT) / size)
    texts = [line for text in (entry.text, entry.below) if text for line in text.split("\n")]
    return 0.6 + sum(max(1.0, -(-_em(line) * AIR // room)) for line in texts)


def _words(text: str) -> list[str]:
    """Pieces that do not break: between spaces and break marks, each wide letter by itself."""
    narrow = re.split(rf"[ \n{BREAK}]", breakable(text))
    return [piece for word in narrow for piece in re.split(r"(?<=[^\x00-\u2e7f])", word) if piece]


def _em(text: str) -> float:
    """Width of a line in em, rather too much than too little."""
    return sum(_letter_em(letter) for letter in text if letter != BREAK)


def _letter_em(letter: str) -> float:
    if unicodedata.east_asian_width(letter) in "WF":
        return WIDE_EM
    if letter in "mwMW%×":
        return BROAD_EM
    return CAPITAL_EM if letter.isupper() or letter in "+=<>−" else NARROW_EM


def _broken(word: str) -> str:
    marked = re.sub(r"(?<=[/_,;=+.\-(])(?=[^\s])", BREAK, word)
    return re.sub(r"[0-9a-zA-Z]{17,}", lambda x: _pieces(x.group()), marked)


def _pieces(word: str) -> str:
    return BREAK.join(word[at : at + 12] for at in range(0, len(word), 12))
