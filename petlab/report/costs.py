"""Cost tables: every column says whether it was measured or modelled; exposure stands beside."""

from __future__ import annotations

from collections.abc import Collection

from petlab.report.accuracy import absent_rows, caption, seeds_text
from petlab.report.exposure import MEMBERSHIP, has_exposure, membership_entry
from petlab.report.grid import Column, Entry, Grid, Group, head, number
from petlab.study import rounding, words
from petlab.study.blocks import BASELINE, Block, Study, Variant, blocks_of
from petlab.study.language import say

COMPARED = ("wall_s", "bytes", "wan_s")
"""Costs shown as multiples of cleartext's, too."""
TRAFFIC = ("bytes", "offline_bytes", "messages", "rounds", "expansion")
"""Costs of storage and traffic; all others are costs of computation."""


def computation_grids(study: Study) -> list[Grid]:
    """Make one table of times and memory per program."""
    present = {name for r in study.ok for name in r.costs}
    return _grids(study, [n for n in _ordered(present) if n not in TRAFFIC])


def traffic_grids(study: Study) -> list[Grid]:
    """Make one table of bytes, messages and rounds per program."""
    return _grids(study, TRAFFIC)


def _ordered(present: Collection[str]) -> list[str]:
    return [*(n for n in words.COSTS if n in present), *sorted(set(present) - set(words.COSTS))]


def _grids(study: Study, names: Collection[str]) -> list[Grid]:
    return [grid for key in study.programs if (grid := _grid(study, key, names))]


def _grid(study: Study, key: tuple[str, str], wanted: Collection[str]) -> Grid | None:
    blocks = blocks_of(study, *key)
    present = {name for b in blocks for v in b.variants for r in v.ok for name in r.costs}
    names = [name for name in wanted if name in present]
    if not names:
        return None
    sources = {name: _sources(blocks, name) for name in names}
    columns = [Column(say("Technique"), style="text"), Column(say("Seeds"))]
    columns += [Column(words.cost(name).title, _source(sources[name])) for name in names]
    exposed = has_exposure(blocks)
    if exposed:
        columns.append(Column(say(MEMBERSHIP), say("measured; 0.5 is guessing")))
    grid = Grid(caption(*key), columns, style="costs")
    for block in blocks:
        rows = [_row(study, variant, sources, exposed) for variant in block.variants if variant.ok]
        rows += absent_rows(block, len(columns) - 1)
        grid.groups.append(Group(say("Data set {data}", data=block.data), rows))
    return grid


def _row(
    study: Study, variant: Variant, sources: dict[str, list[str]], exposed: bool
) -> list[Entry]:
    row = [head(variant.label), number(seeds_text(variant))]
    for name, mixed in sources.items():
        found = variant.cost(name)
        below = []
        if name in COMPARED and variant.technique != BASELINE:
            multiple = study.factor(variant, name)
            below += [rounding.factor(multiple)] if multiple is not None else []
        if len(mixed) > 1:
            own = {r.costs[name].source for r in variant.ok if name in r.costs}
            below += [words.source(source) for source in sorted(own)]
        text = rounding.cost(name, found.mean if found else None)
        row.append(number(text, say(", ").join(below)))
    return [*row, membership_entry(variant)] if exposed else row


def _sources(blocks: list[Block], name: str) -> list[str]:
    return sorted(
        {r.costs[name].source for b in blocks for v in b.variants for r in v.ok if name in r.costs}
    )


def _source(sources: list[str]) -> str:
    if len(sources) == 1:
        return words.source(sources[0])
    return say("{a} or {b}", a=words.source(sources[0]), b=words.source(sources[1]))
