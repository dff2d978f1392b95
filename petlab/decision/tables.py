"""The tables of a comparison: a row for each candidate, means over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from petlab.decision.evidence import Candidate, shown
from petlab.decision.price import Prices
from petlab.report import rounding, words
from petlab.report.study import Block, Study
from petlab.result import Result

if TYPE_CHECKING:
    import pandas

COSTS = ("wall_s", "cpu_s", "peak_mib", "bytes", "rounds", "lan_s", "wan_s")
"""Costs that the table shows; a result has more."""
SOURCES = {name: "modelled" if name in ("lan_s", "wan_s") else "measured" for name in COSTS}
SOURCES["price"] = "at the given prices"
MEMBERSHIP = "membership_auc (measured)"
"""How well an attack tells training records from others; 0.5 is guessing."""


def accuracy_frame(results: Sequence[Result]) -> pandas.DataFrame:
    """Scores of each candidate, with their intervals; the reference first."""
    import pandas as pd

    study, rows = Study(results), []
    for block in study.blocks:
        there = {name for v in block.variants for r in v.ok for name in r.quality}
        names = [name for name in words.METRICS if name in there]
        row = {"program": block.program, "technique": "reference"}
        for name in names:
            found = block.reference(name)
            row[name] = rounding.ABSENT if found is None else shown(name, found.mean)
        rows.append(row)
        for candidate in _candidates(study, block, None):
            row = _head(candidate)
            rows.append(row | {name: _spread(candidate, name) for name in names})
    return pd.DataFrame(rows).set_index(["program", "technique"]).fillna(rounding.ABSENT)


def cost_frame(results: Sequence[Result], prices: Prices | None) -> pandas.DataFrame:
    """Costs of each candidate, with their intervals and where they come from."""
    import pandas as pd

    study, rows = Study(results), []
    for block in study.blocks:
        for candidate in _candidates(study, block, prices):
            names = [*COSTS, "price"] if prices else COSTS
            numbers = {f"{n} ({SOURCES[n]})": _spread(candidate, n) for n in names}
            numbers[MEMBERSHIP] = _spread(candidate, "membership_auc")
            trusted = candidate.guarantee.trusted if candidate.guarantee else ()
            rows.append(_head(candidate) | numbers | {"trusts": ", ".join(trusted) or "nobody"})
    return pd.DataFrame(rows).set_index(["program", "technique"]) if rows else pd.DataFrame()


def _candidates(study: Study, block: Block, prices: Prices | None) -> list[Candidate]:
    return [Candidate(study, block, variant, prices) for variant in block.variants if variant.ok]


def _head(candidate: Candidate) -> dict[str, str]:
    return {"program": candidate.block.program, "technique": candidate.variant.label}


def _spread(candidate: Candidate, name: str) -> str:
    found = candidate.reading(name)
    return rounding.ABSENT if found is None else found.text(name)
