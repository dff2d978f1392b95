"""Linear systems whose matrix may carry privacy noise."""

from __future__ import annotations

import numpy as np

from petlab.contribution import Noise


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
