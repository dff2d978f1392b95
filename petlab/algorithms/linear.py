"""Linear systems whose matrix nobody sees, and such whose matrix carries privacy noise."""

from __future__ import annotations

import math

import numpy as np

from petlab.core.arrays import Protected
from petlab.core.contribution import Noise

MARGIN = 0.05
"""Eigenvalues of A X, at most one by the mathematics, may pass one by so much, by rounding."""
CLOSE = 1e-6
"""No eigenvalue of A X is farther from one when the steps end, but for rounding."""
PROBES = 4
"""Vectors by which an inverse is verified."""
REFINEMENTS = 2
"""Corrections by the residual: each takes the rounding of the inverse out once more."""


def balance(low: float, high: float) -> float:
    """Power of two near the geometric mean of a matrix's smallest and largest eigenvalue.

    Divided by it, a matrix and its inverse are alike in magnitude, so that fixed point holds
    both with the same relative precision; dividing by a power of two itself loses little.
    """
    return 2.0 ** round(math.log2(low * high) / 2)


def solve_protected(matrix: Protected, right: Protected, *, low: float, high: float) -> Protected:
    """Solve A x = b; shapes (n, n) and (n, k).

    Parameters
    ----------
    low, high
        Public bounds on the eigenvalues of the symmetric matrix, 0 < low < high.
    """
    share = 1 / balance(low, high)
    matrix, right = matrix * share, right * share
    inverted = inverse(matrix, low=low * share, high=high * share)
    found = inverted @ right
    for _ in range(REFINEMENTS):
        found = found + inverted @ (right - matrix @ found)
    return found


def inverse(matrix: Protected, *, low: float, high: float) -> Protected:
    """Invert by scaled Newton-Schulz steps X <- mu X (2 I - mu A X), from X = I / high.

    Each step knows an interval [least, 1] of the eigenvalues of A X, and mu brings both ends
    to the same value below one, the next `least`: it grows fourfold a step while it is
    small, where plain Newton-Schulz (mu = 1) doubles it. All mu follow from public bounds.

    Parameters
    ----------
    matrix
        Symmetric, shape (n, n).
    low, high
        Public bounds on its eigenvalues, 0 < low < high.

    References
    ----------
    .. [1] Chen, Chow, A Stable Scaling of Newton-Schulz for Improving the Sign Function
       Computation of a Hermitian Matrix, Argonne preprint MCS-P5059-0114, 2014.
    """
    identity = np.eye(matrix.shape[0])
    factors = scaling(low / high)
    # X is still a multiple of I, so that the first step needs no product of matrices. Its
    # factor is applied twice because its square may be below the resolution.
    first = factors[0] / high
    inverted = 2 * first * identity - matrix * first * first
    session, most = matrix.session, 1 + MARGIN
    for mu in factors[1:]:
        # A X and what it is multiplied by are symmetric: no entry exceeds an eigenvalue.
        product = session.bounded(matrix @ inverted, bound=most, proven=True)
        factor = 2 * mu * identity - product * mu**2
        factor = session.bounded(factor, bound=2 * mu * most, proven=True)
        inverted = session.bounded(inverted @ factor, bound=most / low, proven=True)
    _verify(matrix, inverted, low)
    return inverted


def _verify(matrix: Protected, inverted: Protected, low: float) -> None:
    """Let nothing be opened if A X s is not s for a few public vectors s of signs.

    The proof of the bounds rests on exact arithmetic and on `low` and `high`: this does not.
    """
    session, size = matrix.session, matrix.shape[0]
    signs = np.random.default_rng(size).choice([-1.0, 1.0], (size, PROBES))
    solved = session.bounded(inverted @ signs, bound=(1 + MARGIN) * math.sqrt(size) / low)
    session.bounded(matrix @ solved - signs, bound=MARGIN * math.sqrt(size))


def scaling(least: float) -> list[float]:
    """Factors mu of the steps when the eigenvalues of A X start in [least, 1]."""
    factors = []
    while 1 - least > CLOSE:
        # With mu near two, an eigenvalue just above one would be thrown to below zero.
        mu = 2 / (1 + max(least, MARGIN))
        factors.append(mu)
        least = min(mu * least * (2 - mu * least), mu * (2 - mu))
    return factors


def noise_floor(noise: Noise | None, size: int) -> float:
    """Typical size of an eigenvalue of a symmetric (size, size) matrix of noise.

    sigma sqrt(size), half the edge of Wigner's semicircle: directions that carry less than
    this are noise. Zero without noise.
    """
    if noise is None:
        return 0.0
    return float(noise.deviation * np.sqrt(size))


def nearest_positive(matrix: np.ndarray) -> np.ndarray:
    """Nearest positive semi-definite matrix in the Frobenius norm (post-processing)."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, 0)) @ vectors.T


def damping(noise: Noise, size: int) -> np.ndarray:
    """Ridge of the size of the noise, for all coefficients but the leading intercept.

    Shrinking the intercept would move the decision threshold.
    """
    return noise_floor(noise, size) * np.diag(np.r_[0.0, np.ones(size - 1)])
