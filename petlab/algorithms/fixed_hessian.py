"""Logistic regression on records that nobody sees, by steps with one fixed Hessian."""

from __future__ import annotations

from typing import Any

import numpy as np

from petlab.algorithms.linear import balance, inverse
from petlab.algorithms.logistic import penalty
from petlab.core.arrays import Protected

COEFFICIENT_MAX = 2.0**10
"""Declared bound on a coefficient."""
LOGIT_MAX = 64.0
"""Declared bound on a linear score; twenty is large for a penalised fit."""


def fit_protected(
    x: Protected, labels: Protected, *, C: float, norm: float, steps: int
) -> Protected:
    """Coefficients after so many accelerated steps; shape (features + 1, outputs).

    p (1 - p) <= 1/4 makes B = X'X / 4 + I / C a bound on the Hessian that no step changes:
    it is inverted once, and theta <- theta + B^-1 (X'(y - p) - theta / C) climbs at every
    step. Nesterov's momentum makes up for what B is larger than the Hessian.

    Parameters
    ----------
    x
        Features with a leading column of ones, shape (rows, features + 1).
    labels
        Zeros and ones, shape (rows, outputs).
    C
        Inverse L2 penalty, from which the intercept is free.
    norm
        Public bound on the norm of a row of `x`.

    References
    ----------
    .. [1] Böhning, Lindsay, Monotonicity of Quadratic-Approximation Algorithms, Annals of
       the Institute of Statistical Mathematics 40, 1988.
    """
    rows, size = x.shape
    low, high = 1 / C, 1 / C + rows * norm**2 / 4
    share = 1 / balance(low, high)
    # The ridge is on the intercept too: B only has to be large enough, and a smallest
    # eigenvalue that everybody knows saves steps of the inversion.
    curvature = (x.T @ x) * (share / 4) + np.eye(size) * (share / C)
    inverted = inverse(curvature, low=low * share, high=high * share)
    ridge = penalty(size, C)[:, None]
    theta: Any = np.zeros((size, labels.shape[1]))
    ahead: Any = theta
    for step in range(steps):
        # At theta = 0 every probability is one half.
        p: Any = 0.5
        if step:
            ahead = x.session.bounded(ahead, bound=COEFFICIENT_MAX)
            p = x.session.sigmoid(x @ ahead, bound=LOGIT_MAX)
        slope = x.T @ (labels - p) - ahead * ridge
        moved = inverted @ (slope * share) + ahead
        ahead = moved + (moved - theta) * (step / (step + 3))
        theta = moved
    return theta
