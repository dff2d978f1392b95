"""What running a technique asks of people, and what it costs when it is run for years."""

from __future__ import annotations

from petlab.core.settings import describe_settings
from petlab.deciding import Prices
from petlab.errors import PetlabError
from petlab.report.grid import Column, Entry, Grid, Group, head, number
from petlab.running.registry import setting_owners
from petlab.running.result import Result
from petlab.study import rounding
from petlab.study.blocks import BASELINE, Study, Variant
from petlab.study.interval import estimate
from petlab.study.language import say, sentences

RUNS = 1000
REPEATS = 10
"""Releases over which epsilon is added up."""


def skills_grid(study: Study) -> Grid:
    """List for each technique who takes part, on which libraries, with how many choices."""
    columns = [
        Column(say("Technique"), style="text", width="14%"),
        Column(say("Taking part besides the owners"), say("measured"), style="text", width="24%"),
        Column(say("Must be trusted"), style="text", width="18%"),
        Column(say("Libraries to know and keep current"), style="text", width="26%"),
        Column(say("Settings that somebody has to choose"), style="text", width="18%"),
    ]
    grid = Grid(say("What running it asks for"), columns, style="prose")
    found: dict[str, list[Result]] = {}
    for result in study.ok:
        found.setdefault(result.cell.technique, []).append(result)
    ordered = sorted(found, key=lambda spec: spec.count("+"))
    grid.groups.append(Group("", [_skills(spec, found[spec]) for spec in ordered]))
    return grid


def upkeep_grids(study: Study, prices: Prices | None) -> list[Grid]:
    """Make one table per program: what many runs cost, and how epsilon adds up."""
    return [grid for key in study.programs if (grid := _grid(study, key, prices))]


def _skills(spec: str, results: list[Result]) -> list[Entry]:
    parties = {p for r in results for p in r.views if not p.startswith("owner-")}
    trusted = {p for r in results if r.guarantee for p in r.guarantee.trusted}
    packages = {
        f"{name.partition('==')[0]} {version}"
        for r in results
        for name, version in r.provenance.get("packages", {}).items()
    }
    names = _settings(spec)
    return [
        head(spec),
        Entry(say(", ").join(sentences(p) for p in sorted(parties)) or say("nobody")),
        Entry(say(", ").join(sentences(p) for p in sorted(trusted)) or say("nobody")),
        Entry(", ".join(sorted(packages)) or say("not recorded")),
        Entry(str(len(names)), ", ".join(names)),
    ]


def _settings(spec: str) -> list[str]:
    try:
        return [f.name for owner in setting_owners(spec) for f in describe_settings(owner)]
    except PetlabError:
        return []


def _grid(study: Study, key: tuple[str, str], prices: Prices | None) -> Grid | None:
    blocks = [block for block in study.blocks if (block.task, block.program) == key]
    if not any(variant.ok for block in blocks for variant in block.variants):
        return None
    many = say("{n} runs", n=rounding.count(RUNS))
    columns = [
        Column(say("Technique"), style="text"),
        Column(say("CPU time"), f"{many}{say(', ')}{say('measured for one')}"),
        Column(say("Traffic"), f"{many}{say(', ')}{say('measured for one')}"),
    ]
    if prices:
        columns.append(Column(say("Price"), f"{many}{say(', ')}{say('at the given prices')}"))
    columns.append(Column(say("Epsilon of one run"), say("accounted")))
    columns.append(Column(say("Epsilon of {n} runs", n=REPEATS), say("accounted, added up")))
    grid = Grid(f"{key[0]} / {key[1]}", columns, style="costs")
    for block in blocks:
        rows = [
            _upkeep(variant, prices)
            for variant in block.variants
            if variant.ok and (variant.technique != BASELINE or len(block.variants) > 1)
        ]
        if rows:
            grid.groups.append(Group(say("Data set {data}", data=block.data), rows))
    return grid


def _upkeep(variant: Variant, prices: Prices | None) -> list[Entry]:
    cpu, sent = variant.cost("cpu_s"), variant.cost("bytes")
    row = [
        head(variant.label),
        number(rounding.seconds(cpu.mean * RUNS if cpu else None)),
        number(rounding.size(sent.mean * RUNS if sent else None)),
    ]
    if prices:
        paid = estimate(prices.of(result.costs) for result in variant.ok)
        row.append(number(rounding.figures(paid.mean * RUNS) if paid else rounding.ABSENT))
    spent = estimate(r.guarantee.epsilon for r in variant.ok if r.guarantee)
    for times in (1, REPEATS):
        text = rounding.figures(spent.mean * times) if spent else say("no bound")
        row.append(number(text))
    return row
