"""What the measurements say about one candidate, number by number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from petlab.core.claims import Guarantee
from petlab.deciding.requirement import EXPOSURES, LOSS, PRICE, WORDS, Requirement
from petlab.deciding.scaling.model import Extrapolated
from petlab.study import rounding, words
from petlab.study.blocks import Block, Study, Variant
from petlab.study.interval import estimate
from petlab.study.price import Prices

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
class Reading:
    """A number, the ends of its interval, and where it comes from."""

    value: float
    low: float
    high: float
    source: str

    def text(self, name: str) -> str:
        """Such as "3.1 s ± 0.2 s", or "3.1 s, 2.8 s to 4.4 s" where the sides differ."""
        above, below = self.high - self.value, self.value - self.low
        number, least = shown(name, self.value), MARGIN * max(1.0, abs(self.value))
        if max(above, below) <= least:
            return number
        if abs(above - below) <= least:
            return f"{number} ± {shown(name, above)}"
        return f"{number}, {shown(name, self.low)} to {shown(name, self.high)}"


@dataclass(frozen=True)
class Candidate:
    """A technique with its settings, on one program.

    Attributes
    ----------
    scaled
        Costs at the size that was asked about, in place of the measured ones; or None.
    """

    study: Study
    block: Block
    variant: Variant
    prices: Prices | None = None
    scaled: Mapping[str, Extrapolated] | None = None

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

    def reading(self, name: str) -> Reading | None:
        """A number, its interval and its source; None where there is none."""
        if self._grows(name):
            there = (self.scaled or {}).get(name)
            if there is None or there.value is None:
                return None
            return Reading(there.value, *there.ends, "modelled, at the size asked about")
        found = estimate(self._numbers(name))
        if found is None:
            return None
        half = found.half or 0.0
        source = self._source(name) + ("" if found.count > 1 else ", 1 seed")
        return Reading(found.mean, found.mean - half, found.mean + half, source)

    def finding(self, requirement: Requirement) -> Finding:
        """Hold the measurements against a constraint."""
        name = requirement.name
        if name in WORDS:
            return self._worded(requirement)
        found = self.reading(name)
        if found is None:
            why = f"{name}: {self._why_none(name)}"
            return Finding(requirement, "undecided" if self._grows(name) else "missed", why)
        slack = MARGIN * max(1.0, abs(float(requirement.limit)))
        signed = {"<=": -slack, ">=": slack}.get(requirement.comparator, 0.0)
        kept = {requirement.allows(end + signed) for end in (found.low, found.high)}
        verdict = "undecided" if len(kept) > 1 else "met" if kept == {True} else "missed"
        return Finding(requirement, verdict, self.text(name))

    def text(self, name: str) -> str:
        """A number with unit, interval and source, such as "wan_s 3.1 s ± 0.2 s (modelled)"."""
        found = self.reading(name)
        if found is None:
            return f"{name} {rounding.ABSENT}"
        return f"{name} {found.text(name)} ({found.source})"

    def _grows(self, name: str) -> bool:
        """Whether a number measured here says nothing about the size that was asked about."""
        return self.scaled is not None and name in (*words.COSTS, PRICE)

    def _numbers(self, name: str) -> Sequence[float]:
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
        elif name in EXPOSURES:
            found = [r.exposure[name].value if name in r.exposure else None for r in results]
        elif name in words.COSTS:
            found = [r.costs[name].value if name in r.costs else None for r in results]
        else:
            found = [r.quality[name].value if name in r.quality else None for r in results]
        return [float(value) for value in found if value is not None]

    def _source(self, name: str) -> str:
        """Where a number comes from: "measured", "modelled" or "accounted"."""
        if name in ("epsilon", "delta"):
            return "accounted"
        if name == "price":
            return "at the given prices"
        costs = self.variant.ok[0].costs
        return costs[name].source if name in costs else "measured"

    def _better(self, metric: str) -> str:
        found = (r.quality[metric].better for r in self.variant.ok if metric in r.quality)
        return next(found, "higher")

    def _why_none(self, name: str) -> str:
        if self._grows(name):
            there = (self.scaled or {}).get(name)
            return f"no law is used, {there.reason}" if there else "not extrapolated"
        if name in ("epsilon", "delta"):
            return "nothing bounds what the result tells about a record"
        if name == "price":
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
