"""What the measurements say about one candidate, number by number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from petlab.decision.price import Prices
from petlab.decision.requirement import LOSS, WORDS, Requirement
from petlab.report import rounding, words
from petlab.report.interval import Estimate, estimate
from petlab.report.study import Block, Study, Variant
from petlab.result import Guarantee

MARGIN = 1e-9
"""Rounding: a number this close to its limit keeps to it."""
CHIEF = ("auc", "accuracy", "decision_agreement", "score_max_error")
"""By which score of a task a technique is judged first."""


@dataclass(frozen=True)
class Finding:
    """How a candidate stands towards one constraint.

    Attributes
    ----------
    verdict
        "met", "missed" or "undecided": the interval over seeds lies on both sides.
    text
        The number that says so, with its unit, its interval and its source.
    """

    requirement: Requirement
    verdict: str
    text: str


@dataclass(frozen=True)
class Candidate:
    """A technique with its settings, on one program."""

    study: Study
    block: Block
    variant: Variant
    prices: Prices | None = None

    @property
    def name(self) -> str:
        """Such as "he, sums"."""
        return f"{self.variant.label}, {self.block.program}"

    @property
    def guarantee(self) -> Guarantee | None:
        """What protected the records in the first run; all runs of a variant are alike."""
        return self.variant.ok[0].guarantee

    @property
    def chief(self) -> str | None:
        """The score that tells most about this task, or None."""
        there = {name for result in self.variant.ok for name in result.quality}
        return next((name for name in CHIEF if name in there), None)

    def numbers(self, name: str) -> Sequence[float]:
        """One number for each seed; none where it was not measured."""
        results = self.variant.ok
        if name.endswith(LOSS):
            metric = name.removesuffix(LOSS)
            sign = -1 if self._better(metric) == "higher" else 1
            return [sign * d for d in self.study.differences(self.variant, metric)]
        if name == "price":
            found = [self.prices.of(r.costs) if self.prices else None for r in results]
        elif name == "parties":
            found = [float(len(r.views)) if r.views else None for r in results]
        elif name in ("epsilon", "delta", "security_bits"):
            found = [getattr(r.guarantee, name, None) for r in results]
        elif name in words.COSTS:
            found = [r.costs[name].value if name in r.costs else None for r in results]
        else:
            found = [r.quality[name].value if name in r.quality else None for r in results]
        return [float(value) for value in found if value is not None]

    def estimate(self, name: str) -> Estimate | None:
        """Mean over seeds and its interval."""
        return estimate(self.numbers(name))

    def source(self, name: str) -> str:
        """Where a number comes from: "measured", "modelled" or "accounted"."""
        if name in ("epsilon", "delta"):
            return "accounted"
        if name == "price":
            return "measured x price"
        costs = self.variant.ok[0].costs
        return costs[name].source if name in costs else "measured"

    def finding(self, requirement: Requirement) -> Finding:
        """Hold the measurements against a constraint."""
        if requirement.name in WORDS:
            return self._worded(requirement)
        found = self.estimate(requirement.name)
        if found is None:
            return Finding(
                requirement, "missed", f"{requirement.name}: {self._why_none(requirement)}"
            )
        half = found.half or 0.0
        ends = [found.mean - half, found.mean + half]
        slack = MARGIN * max(1.0, abs(float(requirement.limit)))
        signed = slack if requirement.comparator.startswith(">") else -slack
        kept = {requirement.allows(end + signed) for end in ends}
        verdict = "undecided" if len(kept) > 1 else "met" if kept == {True} else "missed"
        return Finding(requirement, verdict, self.text(requirement.name))

    def text(self, name: str) -> str:
        """A number with unit, interval and source, such as "wan_s 3.1 s ± 0.2 s (modelled)"."""
        found = self.estimate(name)
        if found is None:
            return f"{name} {rounding.ABSENT}"
        spread = f" ± {shown(name, found.half)}" if found.half and found.half > MARGIN else ""
        seeds = "" if found.count > 1 else ", 1 seed"
        return f"{name} {shown(name, found.mean)}{spread} ({self.source(name)}{seeds})"

    def _better(self, metric: str) -> str:
        found = (r.quality[metric].better for r in self.variant.ok if metric in r.quality)
        return next(found, "higher")

    def _why_none(self, requirement: Requirement) -> str:
        if requirement.name in ("epsilon", "delta"):
            return "nothing bounds what the result tells about a record"
        if requirement.name == "price":
            return "no prices were given, or a cost was not measured"
        return "not measured for this program"

    def _worded(self, requirement: Requirement) -> Finding:
        guarantee = self.guarantee
        found = _properties(requirement.name, guarantee)
        wanted = str(requirement.limit)
        there = wanted in found or (wanted == "nobody" and not found)
        kept = there if requirement.comparator == "=" else not there
        shown = ", ".join(sorted(found)) or "nobody"
        return Finding(requirement, "met" if kept else "missed", f"{requirement.name} {shown}")


def shown(name: str, value: float) -> str:
    """A number in its unit."""
    if name == "price":
        return rounding.figures(value)
    if name in words.COSTS:
        return rounding.cost(name, value)
    if name in ("epsilon", "delta", "security_bits", "parties"):
        return f"{value:.3g}"
    return rounding.metric(name.removesuffix(LOSS), value, signed=False)


def _properties(name: str, guarantee: Guarantee | None) -> set[str]:
    if guarantee is None:
        return set()
    if name == "trusted":
        return {party.lower() for party in guarantee.trusted}
    if name == "kind":
        return set(guarantee.kind.split("+"))
    text = guarantee.adversary
    return {"none" if text == "none" else "semi-honest" if "semi-honest" in text else "malicious"}
