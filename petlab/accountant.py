"""Epsilon of what was released, and noise for a wanted epsilon.

Neighbouring data sets differ by adding or removing one unit. Gaussian releases compose
exactly: k releases with noise multipliers z_i (standard deviation over sensitivity) are
one Gaussian release with 1 / z^2 = sum 1 / z_i^2.

References
----------
.. [1] Balle, Wang, Improving the Gaussian Mechanism for Differential Privacy, ICML 2018,
   theorem 8.
.. [2] Dong, Roth, Su, Gaussian Differential Privacy, JRSS-B 2022, corollary 3.3.
"""

from __future__ import annotations

import numpy as np


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
    """Noise multiplier of each of so many releases, for (epsilon, delta) in all."""
    from scipy.optimize import brentq

    def excess(log_multiplier: float) -> float:
        return gaussian_delta(float(np.exp(log_multiplier)), epsilon) - delta

    single = np.exp(brentq(excess, np.log(1e-3), np.log(1e7), xtol=1e-12))
    return float(single * np.sqrt(releases))


def composed_multiplier(multipliers: list[float]) -> float:
    """Multiplier of the one Gaussian release that equals all of these together."""
    return float(1 / np.sqrt(sum(z**-2 for z in multipliers)))
