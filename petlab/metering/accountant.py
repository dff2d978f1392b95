"""Epsilon of what was released, and noise for a wanted epsilon.

Neighbouring data sets differ by adding or removing one unit. Unsampled Gaussian releases
compose exactly: k of them with noise multipliers z_i (standard deviation over sensitivity)
are one with 1 / z^2 = sum 1 / z_i^2. Releases over Poisson-sampled batches are accounted by
Opacus, by privacy random variables (PRV) or Renyi divergences (RDP).

References
----------
.. [1] Balle, Wang, Improving the Gaussian Mechanism for Differential Privacy, ICML 2018,
   theorem 8.
.. [2] Dong, Roth, Su, Gaussian Differential Privacy, JRSS-B 2022, corollary 3.3.
.. [3] Gopi, Lee, Wutschitz, Numerical Composition of Differential Privacy, NeurIPS 2021.
.. [4] Mironov, Talwar, Zhang, Renyi Differential Privacy of the Sampled Gaussian
   Mechanism, 2019.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from petlab.errors import UsageError

ACCOUNTANTS = ("prv", "rdp")
WIDE = 0.01
"""By how much the first PRV bound on epsilon may be too high."""


@dataclass(frozen=True)
class Event:
    """So many releases of one kind.

    Attributes
    ----------
    pure
        Epsilon of each Laplace release, or 0 for Gaussian ones.
    multiplier
        Noise multiplier of each Gaussian release, or 0 for Laplace ones.
    sample_rate
        Chance of each unit to be in a release's Poisson-sampled batch; 1 means all are.
    releases
        How many.
    """

    pure: float = 0.0
    multiplier: float = 0.0
    sample_rate: float = 1.0
    releases: int = 1


def total_epsilon(events: Sequence[Event], delta: float, *, accountant: str = "prv") -> float:
    """Epsilon of all events together at this delta.

    Laplace releases add up (basic composition) on top of what the Gaussian ones compose to.
    """
    pure = sum(event.pure * event.releases for event in events)
    gaussian = tuple(event for event in events if event.multiplier > 0)
    if not gaussian:
        return pure
    if all(event.sample_rate == 1 for event in gaussian):
        inverse = sum(event.releases / event.multiplier**2 for event in gaussian)
        return pure + gaussian_epsilon(float(inverse**-0.5), delta)
    return pure + _sampled_epsilon(gaussian, delta, accountant)


def noise_multiplier(
    epsilon: float,
    delta: float,
    *,
    sample_rate: float = 1.0,
    releases: int = 1,
    accountant: str = "prv",
) -> float:
    """Noise multiplier of each of so many releases, for (epsilon, delta) in all."""
    if sample_rate == 1:
        return gaussian_multiplier(epsilon, delta, releases=releases)
    return _sampled_multiplier(epsilon, delta, sample_rate, releases, accountant)


def gaussian_delta(multiplier: float, epsilon: float) -> float:
    """Smallest delta of a Gaussian release at this epsilon (Balle and Wang, theorem 8)."""
    from scipy.special import log_ndtr

    shift = 1 / (2 * multiplier)
    upper = np.exp(log_ndtr(shift - epsilon * multiplier))
    lower = np.exp(epsilon + log_ndtr(-shift - epsilon * multiplier))
    return float(max(0.0, upper - lower))


def gaussian_epsilon(multiplier: float, delta: float) -> float:
    """Smallest epsilon of a Gaussian release at this delta."""
    from scipy.optimize import brentq

    if gaussian_delta(multiplier, 0.0) <= delta:
        return 0.0
    high = 1.0
    while gaussian_delta(multiplier, high) > delta:
        high *= 2
    return float(brentq(lambda e: gaussian_delta(multiplier, e) - delta, 0.0, high, xtol=1e-10))


def gaussian_multiplier(epsilon: float, delta: float, *, releases: int = 1) -> float:
    """Noise multiplier of each of so many unsampled releases."""
    single = _root(lambda z: gaussian_delta(z, epsilon) - delta, 1e-3, 1e7, precision=1e-12)
    return float(single * np.sqrt(releases))


def composed_multiplier(multipliers: Sequence[float]) -> float:
    """Multiplier of the one unsampled Gaussian release that equals all of these together."""
    return float(1 / np.sqrt(sum(z**-2 for z in multipliers)))


@cache
def _sampled_epsilon(events: tuple[Event, ...], delta: float, accountant: str) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from opacus.accountants import PRVAccountant, RDPAccountant

        if accountant not in ACCOUNTANTS:
            raise UsageError(f"unknown accountant {accountant!r}. Known: prv, rdp.")
        made = PRVAccountant() if accountant == "prv" else RDPAccountant()
        made.history = [(e.multiplier, e.sample_rate, e.releases) for e in events]
        if accountant == "rdp":
            return float(made.get_epsilon(delta=delta, alphas=_orders()))
        # An upper bound that is wide by a given error; small epsilons need a smaller one.
        rough = float(made.get_epsilon(delta=delta, eps_error=WIDE))
        if rough > 100 * WIDE:
            return rough
        return float(made.get_epsilon(delta=delta, eps_error=max(rough - WIDE, WIDE / 10) / 100))


def _orders() -> list[float]:
    """Opacus' orders end at 63, too few for small epsilons."""
    from opacus.accountants import RDPAccountant

    return [*RDPAccountant.DEFAULT_ALPHAS, *range(64, 128, 4), *range(128, 1025, 32)]


@cache
def _sampled_multiplier(
    epsilon: float, delta: float, sample_rate: float, releases: int, accountant: str
) -> float:
    def excess(multiplier: float) -> float:
        event = Event(multiplier=multiplier, sample_rate=sample_rate, releases=releases)
        return _sampled_epsilon((event,), delta, accountant) - epsilon

    # Little noise is costly to account for, so the search doubles upwards to its bracket, and
    # for PRV begins at what the cheap and looser Renyi divergences find.
    low, high = 0.3, 0.6
    if accountant == "prv":
        high = _sampled_multiplier(epsilon, delta, sample_rate, releases, "rdp")
        low = max(low, 0.85 * high)
    while excess(low) <= 0:
        if low <= 0.3:
            return low
        low, high = max(0.3, 0.85 * low), low
    while excess(high) > 0:
        low, high = high, 2 * high
    # A little more than the root, so that epsilon is never above what was asked for.
    return _root(excess, low, high, precision=1e-4) * (1 + 2e-4)


def _root(excess: Callable[[float], float], low: float, high: float, *, precision: float) -> float:
    """Where a decreasing excess is zero, searched on a logarithmic scale."""
    from scipy.optimize import brentq

    log = brentq(lambda x: excess(float(np.exp(x))), np.log(low), np.log(high), xtol=precision)
    return float(np.exp(log))
