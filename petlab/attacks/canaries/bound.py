"""What right guesses about canaries refute: a lower bound on epsilon.

References
----------
.. [1] Steinke, Nasr, Jagielski, Privacy Auditing with One (1) Training Run, NeurIPS 2023,
   arXiv:2305.08846: theorem 5.2, proposition 5.1 for delta = 0, appendix D.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

GUESSED = (0.1, 0.4, 0.8)
"""Shares of the canaries that are guessed, fixed beforehand; the best one is reported, and each
is tested at a third of the allowed error (Bonferroni)."""
SEARCH_END = 50.0
"""No epsilon above this is ever claimed: exp(50) is certainty."""


def p_value(canaries: int, guesses: int, correct: int, epsilon: float, delta: float) -> float:
    """Largest chance of so many right guesses under (epsilon, delta)-differential privacy.

    Theorem 5.2 of [1]_: with W binomial of `guesses` tries at e^eps / (e^eps + 1) each,
    P[W >= v] + 2 m delta max_i P[v > W >= v - i] / i. For delta = 0 it is the binomial tail
    of proposition 5.1.

    Parameters
    ----------
    canaries
        m, each included by an independent fair coin.
    guesses
        r, which must not depend on the coins; the other canaries are abstained on.
    correct
        v.

    References
    ----------
    .. [1] Steinke, Nasr, Jagielski, NeurIPS 2023.
    """
    from scipy.stats import binom

    chance = 1 / (1 + np.exp(-epsilon))
    tail = binom.sf(correct - 1, guesses, chance)
    if not correct or not delta:
        return float(min(1.0, tail))
    steps = np.arange(1, correct + 1)
    below = np.cumsum(binom.pmf(correct - steps, guesses, chance))
    return float(min(1.0, tail + 2 * canaries * delta * (below / steps).max()))


def lower_bound(
    canaries: int, guesses: int, correct: int, *, delta: float, confidence: float = 0.95
) -> float:
    """Largest epsilon below which everything is refuted, by bisection on `p_value`."""
    error = 1 - confidence
    if p_value(canaries, guesses, correct, 0.0, delta) >= error:
        return 0.0
    low, high = 0.0, 1.0
    while high < SEARCH_END and p_value(canaries, guesses, correct, high, delta) < error:
        low, high = high, 2 * high
    while high - low > 1e-6:
        middle = (low + high) / 2
        if p_value(canaries, guesses, correct, middle, delta) < error:
            low = middle
        else:
            high = middle
    return low


def best_bound(
    losses: np.ndarray,
    included: np.ndarray,
    *,
    delta: float,
    guessed: Sequence[float] = GUESSED,
    confidence: float = 0.95,
) -> tuple[float, int, int]:
    """Largest bound over the shares that are guessed, with its guesses and right ones.

    Each share is tested at an equal part of the error, so that picking the best is paid for.

    Parameters
    ----------
    losses
        Of each canary, shape (m,): small where it seems to have been trained on.
    included
        The coins, shape (m,).
    """
    order, count = np.argsort(losses, kind="stable"), len(losses)
    level = 1 - (1 - confidence) / len(guessed)
    found = []
    for share in guessed:
        half = max(1, round(share * count / 2))
        correct = int(included[order[:half]].sum() + (~included[order[-half:]]).sum())
        bound = lower_bound(count, 2 * half, correct, delta=delta, confidence=level)
        found.append((bound, 2 * half, correct))
    return max(found, key=lambda entry: entry[0])
