"""Cost tables: every column says whether it was measured or modelled."""

from __future__ import annotations

from petlab.report import rounding, words
from petlab.report.accuracy import absent_rows, blocks_of, caption, seeds_text
from petlab.report.grid import Column, Entry, Grid, Group, head, number
from petlab.report.study import BASELINE, Block, Study, Variant

COMPARED = ("wall_s", "bytes", "wan_s")
"""Costs shown as multiples of cleartext's, too."""


def cost_grids(study: Study) -> list[Grid]:
    """Make one table per program."""
    return [grid for key in study.programs if (grid := _grid(study, *key))]


def _grid(study: Study, task: str, program: str) -> Grid | None:
    blocks = blocks_of(study, task, program)
    present = {name for b in blocks for v in b.variants for r in v.ok for name in r.costs}
    names = [*(n for n in words.COSTS if n in present), *sorted(present - set(words.COSTS))]
    if not names:
        return None
    sources = {name: _sources(blocks, name) for name in names}
    columns = [Column("Technique", style="text", width="14%"), Column("Seeds", width="6%")]
    columns += [Column(words.cost(name).title, " or ".join(sources[name])) for name in names]
    grid = Grid(caption(task, program), columns, style="costs")
    for block in blocks:
        rows = [_row(study, variant, sources) for variant in block.variants if variant.ok]
        rows += absent_rows(block, len(names) + 1)
        grid.groups.append(Group(f"Data set {block.data}", rows))
    return grid


def _row(study: Study, variant: Variant, sources: dict[str, list[str]]) -> list[Entry]:
    row = [head(variant.label), number(seeds_text(variant))]
    for name, mixed in sources.items():
        found = variant.cost(name)
        below = []
        if name in COMPARED and variant.technique != BASELINE:
            multiple = study.factor(variant, name)
            below += [rounding.factor(multiple)] if multiple is not None else []
        if len(mixed) > 1:
            below += sorted({r.costs[name].source for r in variant.ok if name in r.costs})
        text = rounding.cost(name, found.mean if found else None)
        row.append(number(text, ", ".join(below)))
    return row


def _sources(blocks: list[Block], name: str) -> list[str]:
    return sorted(
        {r.costs[name].source for b in blocks for v in b.variants for r in v.ok if name in r.costs}
    )
