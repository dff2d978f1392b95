"""Laws of several variables, put together and tested at a point off all lines."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from petlab.deciding.scaling.design import Design
from petlab.deciding.scaling.law import EXACT, GOOD, GROWTH, Law, plausible, tolerance
from petlab.errors import UsageError

DRAWS = 200
"""Resamples of the repeats, from which the interval is read off."""
LEVEL = 0.9
Samples = Mapping[str, Sequence[float]]
"""Repeated measurements of one cost, by the digest of the cell."""
Growth = Mapping[str, Sequence[str]]
"""How a cost may grow in each variable, the simplest term first."""


@dataclass(frozen=True)
class Extrapolated:
    """A cost at a size that was not measured.

    Attributes
    ----------
    low, high
        Ends of a 90 % interval: repeats, laws that fit as well, and how far the law is off at
        the sizes measured; None when the repeats did not differ and one law fits exactly.
    laws
        How it grows in each variable.
    reason
        Why there is no number, or None.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    laws: Mapping[str, str] | None = None
    reason: str | None = None

    def times(self, each: Extrapolated) -> Extrapolated:
        """So many, each of which costs so much: the product, with the laws of one."""
        if self.value is None or each.value is None:
            return Extrapolated(None, reason=self.reason or each.reason)
        value = self.value * each.value
        if self.low is None and each.low is None:
            return Extrapolated(value, laws=each.laws)
        (low, high), (less, more) = self.ends, each.ends
        return Extrapolated(value, low * less, high * more, each.laws)

    @property
    def ends(self) -> tuple[float, float]:
        """The interval; both ends are the value where there is none."""
        if self.value is None:
            raise UsageError(f"there is no number: {self.reason}.")
        low = self.value if self.low is None else self.low
        return low, self.value if self.high is None else self.high


def extrapolate(
    name: str,
    plan: Design,
    samples: Samples,
    sizes: Mapping[str, float],
    *,
    growth: Growth = GROWTH,
    quantum: float = 0.0,
    seed: int = 0,
) -> Extrapolated:
    """Fit one cost's laws and evaluate them at the asked sizes.

    Parameters
    ----------
    name
        Of the cost: of a time the shortest repeat counts, of anything else the mean.
    samples
        Repeated measurements at every point of the design.
    growth
        Terms of each variable.
    quantum
        What the cost moves by at least: laws that differ by half of it cannot be told apart.
    seed
        Of the resampling.
    """
    # What disturbs a time makes it longer: the shortest of the repeats is the best estimate.
    # A count differs between seeds, as Newton steps do: their mean moves less than the median.
    typical = np.min if name.endswith("_s") else np.mean
    middles = {digest: float(typical(values)) for digest, values in samples.items()}
    noise = float(
        np.median([max(quantum, np.ptp(v)) / max(np.median(v), 1e-12) for v in samples.values()])
    )
    combined = _models(plan, middles, noise, growth)
    if isinstance(combined, str):
        return Extrapolated(None, reason=combined)
    best = combined[0]
    value = best(sizes)
    off = best.misfit if best.misfit > EXACT else 0.0
    values = [*(model(sizes) for model in combined), value * (1 - off), value * (1 + off)]
    rng = np.random.default_rng(seed)
    for _ in range(DRAWS if any(len(set(v)) > 1 for v in samples.values()) else 0):
        drawn = {d: float(typical(rng.choice(v, len(v)))) for d, v in samples.items()}
        found = _models(plan, drawn, noise, growth)
        values += [] if isinstance(found, str) else [model(sizes) for model in found]
    laws = {variable: law.term for variable, law in best.laws.items()}
    low, high = (float(q) for q in np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
    if high - low <= 1e-9 * abs(value):
        return Extrapolated(value, laws=laws)
    return Extrapolated(value, min(low, value), max(high, value), laws)


@dataclass(frozen=True)
class _Model:
    """Laws on lines through one point, multiplied or added."""

    laws: Mapping[str, Law]
    base: Mapping[str, float]
    level: float
    product: bool

    @property
    def misfit(self) -> float:
        """Largest relative error of a law at a size that was measured."""
        return max(law.error for law in self.laws.values())

    def __call__(self, sizes: Mapping[str, float]) -> float:
        ends = [(law(sizes[v]), law(self.base[v])) for v, law in self.laws.items()]
        if self.product:
            return self.level * math.prod(there / here if here else 1.0 for there, here in ends)
        return self.level + sum(there - here for there, here in ends)


def _models(
    plan: Design, costs: Mapping[str, float], noise: float, growth: Growth
) -> list[_Model] | str:
    """Models that fit, the simplest first; or why there is none."""
    laws = {}
    for variable, line in plan.lines.items():
        sizes = [point.sizes[variable] for point in line]
        values = [costs[point.cell.digest] for point in line]
        laws[variable] = plausible(growth[variable], sizes, values, noise=noise)
        least = min(law.error for law in laws[variable])
        if least > GOOD:
            return f"no law fits its growth with {variable}: {least:.0%} off at best"
    level = costs[plan.base.cell.digest]
    chosen = [dict(zip(laws, found, strict=True)) for found in itertools.product(*laws.values())]
    models = list(_combined(chosen, plan, level))
    if plan.corner is None:
        return [model for model in models if model.product]
    truth, at = costs[plan.corner.cell.digest], plan.corner.sizes
    errors = {id(model): abs(model(at) / max(truth, 1e-12) - 1) for model in models}
    least = min(errors.values())
    if least > 2 * GOOD:
        return f"its laws do not combine: {least:.0%} off at the test point"
    alike = min(2 * GOOD, tolerance(least, noise))
    return [model for model in models if errors[id(model)] <= max(least, alike)]


def _combined(chosen: Iterable[dict[str, Law]], plan: Design, level: float) -> Iterable[_Model]:
    for laws in chosen:
        for product in (True, False):
            yield _Model(laws, plan.base.sizes, level, product)
