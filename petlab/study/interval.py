"""Means and intervals over seeds, and what a difference amounts to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

LEVEL = 0.95
NEGLIGIBLE = 1e-6
"""A difference below one millionth is rounding, not a finding."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds; `half` is half the width of its 95 % t-interval, None for one seed."""

    mean: float
    half: float | None
    count: int


def estimate(values: Iterable[float | None]) -> Estimate | None:
    """Average the values that are there; None when none is."""
    found = [value for value in values if value is not None]
    if not found:
        return None
    count, mean = len(found), sum(found) / len(found)
    if count == 1:
        return Estimate(mean, None, 1)
    from scipy import stats

    spread = sum((value - mean) ** 2 for value in found) / (count - 1)
    half = float(stats.t.ppf((1 + LEVEL) / 2, count - 1)) * (spread / count) ** 0.5
    return Estimate(mean, half, count)


def verdict(
    differences: Sequence[float], better: Literal["higher", "lower"], *, exact: bool = False
) -> str:
    """Say what paired differences amount to.

    Parameters
    ----------
    exact
        The baseline makes no error: then any error is a loss, whatever the interval says.

    Returns
    -------
    str
        "same", "better", "worse", "inconclusive" (the interval includes no difference) or
        "1 seed" (there is no interval).
    """
    if all(abs(value) < NEGLIGIBLE for value in differences):
        return "same"
    if exact:
        return "worse"
    found = estimate(differences)
    if found is None or found.half is None:
        return "1 seed"
    if abs(found.mean) <= found.half:
        return "inconclusive"
    return "better" if (found.mean > 0) == (better == "higher") else "worse"
