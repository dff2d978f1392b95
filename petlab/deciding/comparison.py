"""The tables of a comparison: a row for each candidate, means over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from petlab.deciding.decide import Scaled, decide
from petlab.deciding.decision import Decision
from petlab.deciding.evidence import Candidate, shown
from petlab.deciding.requirement import Requirement
from petlab.running.result import Result
from petlab.running.tables import Headed, frame
from petlab.study import rounding, words
from petlab.study.blocks import Block, Study
from petlab.study.plot import accuracy_against_cost
from petlab.study.price import Prices

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


@dataclass(frozen=True)
class Comparison:
    """Results of several techniques on the same task, data, splits and seeds.

    Attributes
    ----------
    requirements, prefer, prices, scaled
        What `decision` holds the results against; see `petlab.compare`.
    """

    results: Sequence[Result]
    requirements: Sequence[Requirement] = ()
    prefer: str = "wan_s"
    prices: Prices | None = None
    scaled: Scaled | None = None

    @property
    def accuracy(self) -> Headed:
        """Scores by program and technique: means over seeds and their 95 % intervals."""
        return Headed("Accuracy", accuracy_frame(self.results))

    @property
    def cost(self) -> Headed:
        """Costs by program and technique: means over seeds and their 95 % intervals."""
        heading = "Cost at the size measured" if self.scaled else "Cost"
        return Headed(heading, cost_frame(self.results, self.prices))

    @property
    def guarantees(self) -> Headed:
        """What each technique protects and what not."""
        return guarantee_table(self.results)

    @property
    def decision(self) -> Decision:
        """What the constraints leave, and the number that ruled each other out."""
        return decide(
            self.results,
            self.requirements,
            prefer=self.prefer,
            prices=self.prices,
            scaled=self.scaled,
        )

    @property
    def plot(self) -> Any:
        """Loss of the main score against time over a WAN, as an SVG for notebooks."""
        from IPython.display import SVG

        drawing = accuracy_against_cost(Study(self.results))
        return None if drawing is None else SVG(drawing.printed[0])

    def __repr__(self) -> str:
        return "\n\n".join(map(repr, (self.accuracy, self.cost, self.decision)))

    def _repr_html_(self) -> str:
        parts = (self.decision, self.accuracy, self.cost, self.guarantees)
        return "".join(part._repr_html_() for part in parts)


def guarantee_table(results: Sequence[Result]) -> Headed:
    """What was protected against whom; one row per technique that ran."""
    rows = []
    for r in results:
        g = r.guarantee
        if g is None:
            continue
        rows.append(
            {
                "technique": r.cell.technique,
                "kind": g.kind,
                "trusted": ", ".join(g.trusted) or "nobody",
                "epsilon (accounted)": "-" if g.epsilon is None else f"{g.epsilon:.3g}",
                "protects": g.protects,
                "not protected": g.not_protected,
            }
        )
    return Headed("Guarantee", frame(rows, "technique"))
