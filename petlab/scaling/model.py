"""Laws of several variables, put together and tested at a point off all lines."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from petlab.scaling.design import Design
from petlab.scaling.law import GOOD, Law, plausible, tolerance

DRAWS = 200
"""Resamples of the repeats, from which the interval is read off."""
LEVEL = 0.9
SHORTEST_S = 0.1
"""A time below this is mostly fixed overhead and chance: it says nothing about growth."""

Samples = Mapping[str, Sequence[float]]
"""Repeated measurements of one cost, by the digest of the cell."""


@dataclass(frozen=True)
class Extrapolated:
    """A cost at a size that was not measured.

    Attributes
    ----------
    low, high
        Ends of a 90 % interval: repeats, and laws that fit as well; None when the repeats
        did not differ and one law fits.
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


def extrapolate(
    name: str, plan: Design, samples: Samples, sizes: Mapping[str, float], *, seed: int = 0
) -> Extrapolated:
    """Fit one cost's laws and evaluate them at the asked sizes.

    Parameters
    ----------
    name
        Of the cost: times have a shortest length that counts.
    samples
        Repeated measurements at every point of the design.
    seed
        Of the resampling.
    """
    # What disturbs a time makes it longer: the shortest of the repeats is the best estimate.
    # A count differs between seeds, as Newton steps do: their mean moves less than the median.
    typical = np.min if name.endswith("_s") else np.mean
    middles = {digest: float(typical(values)) for digest, values in samples.items()}
    noise = float(np.median([np.ptp(v) / max(np.median(v), 1e-12) for v in samples.values()]))
    if name.endswith("_s") and middles[plan.base.cell.digest] < SHORTEST_S:
        return Extrapolated(None, reason=f"too short to time: under {SHORTEST_S:g} s")
    combined = _models(plan, middles, noise)
    if isinstance(combined, str):
        return Extrapolated(None, reason=combined)
    best = combined[0]
    value, values = best(sizes), [model(sizes) for model in combined]
    rng = np.random.default_rng(seed)
    for _ in range(DRAWS if any(len(set(v)) > 1 for v in samples.values()) else 0):
        drawn = {d: float(typical(rng.choice(v, len(v)))) for d, v in samples.items()}
        found = _models(plan, drawn, noise)
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

    def __call__(self, sizes: Mapping[str, float]) -> float:
        ends = [(law(sizes[v]), law(self.base[v])) for v, law in self.laws.items()]
        if self.product:
            return self.level * math.prod(there / here if here else 1.0 for there, here in ends)
        return self.level + sum(there - here for there, here in ends)


def _models(plan: Design, costs: Mapping[str, float], noise: float) -> list[_Model] | str:
    """Models that fit, the simplest first; or why there is none."""
    laws = {}
    for variable, line in plan.lines.items():
        sizes = [point.sizes[variable] for point in line]
        values = [costs[point.cell.digest] for point in line]
        laws[variable] = plausible(variable, sizes, values, noise=noise)
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
    return [model for model in models if errors[id(model)] <= tolerance(least, noise)]


def _combined(chosen: Iterable[dict[str, Law]], plan: Design, level: float) -> Iterable[_Model]:
    for laws in chosen:
        for product in (True, False):
            yield _Model(laws, plan.base.sizes, level, product)
