"""Logistic regression: what one record adds to its sums, and Newton's method on them."""

from __future__ import annotations

import numpy as np

from petlab.algorithms.linear import damping, nearest_positive
from petlab.core.contribution import Contribution, Noise, State
from petlab.core.curves import sigmoid
from petlab.core.party import ANALYST, Memory, Shard
from petlab.core.rows import Dense, Gram, Outer, Rows, Stack, symmetric
from petlab.core.session import Session


def newton_terms(state: State, shard: Shard, memory: Memory) -> Rows:
    """Gradient x (y - p) and Hessian p (1 - p) x x' of each record, class by class."""
    x, y, theta = _centred(state, shard), shard["labels"], state["theta"]
    p = sigmoid(x @ theta)
    parts: list[Rows] = []
    for k in range(theta.shape[1]):
        residual = (y[:, k] - p[:, k])[:, None] * state["gradient_scale"]
        parts += [Outer(x, residual), Gram(x, p[:, k] * (1 - p[:, k]))]
    return Stack(*parts)


def mean_terms(state: State, shard: Shard, memory: Memory) -> Rows:
    """A one to count each record, and its features."""
    return Dense(with_intercept(shard["features"]))


def intercept_terms(state: State, shard: Shard, memory: Memory) -> Rows:
    """Derivatives y - p and p (1 - p) of each record's likelihood by the intercepts."""
    p = sigmoid(_centred(state, shard) @ state["theta"])
    return Dense(np.stack([shard["labels"] - p, p * (1 - p)], axis=1))


def gradient_terms(state: State, shard: Shard, memory: Memory) -> Rows:
    """Gradient x (y - p) of each record, and a one to count it."""
    x, y = with_intercept(shard["features"]), shard["labels"]
    residual = y - sigmoid(x @ state["theta"])
    return Stack(Outer(x, residual), Outer(np.ones((len(x), 1)), np.ones((len(x), 1))))


def quadratic_terms(state: State, shard: Shard, memory: Memory) -> Rows:
    """(2 y - 1) x and x x' of each record."""
    x, signs = with_intercept(shard["features"]), 2 * shard["labels"] - 1
    return Stack(Outer(x, signs * state["gradient_scale"]), Gram(x))


def with_intercept(features: np.ndarray) -> np.ndarray:
    """Features with a leading column of ones."""
    return np.column_stack([np.ones(len(features)), features])


def penalty(size: int, C: float) -> np.ndarray:
    """L2 penalty of each coefficient, the intercept first; shape (size,)."""
    # scikit-learn does not penalise the intercept; a trace keeps the Hessian regular.
    return np.r_[1e-10, np.full(size - 1, 1 / C)]


def gram_norm(norm: float) -> float:
    """Bound on the upper triangle of x x' when |x| <= norm and no entry exceeds one."""
    return float(np.sqrt((norm**4 + norm**2) / 2))


def _centred(state: State, shard: Shard) -> np.ndarray:
    return with_intercept(shard["features"] - state["centre"])


MEANS_CLIP = 0.6
"""Clip rows of means to this share of their bound, under differential privacy."""


class Newton:
    """Fits coefficients by Newton steps, one release each.

    Where totals carry noise, the first release is spent on the features' means, about which
    the others are centred: their rows are shorter, so that the same epsilon needs less noise,
    and noise on many coefficients at once no longer moves the decision threshold. The last
    releases go to the intercepts alone.

    Parameters
    ----------
    features, outputs
        Numbers of features, and of classes told apart.
    norm
        Public bound on the norm of a record's features.
    C
        Inverse L2 penalty.
    iterations
        Most releases.
    clip_share
        Clip a record's row to this share of its bound, under differential privacy.
    """

    def __init__(
        self,
        session: Session,
        *,
        features: int,
        outputs: int,
        norm: float,
        C: float,
        iterations: int,
        clip_share: float,
    ) -> None:
        self._session, self._outputs, self._clip_share = session, outputs, clip_share
        self._norm, self._penalty = float(np.sqrt(norm**2 + 1)), penalty(features + 1, C)
        self._centre = np.zeros(features)
        self._theta = np.zeros((features + 1, outputs))
        # Too few releases leave none to spare for means and intercepts.
        self._spared = session.noisy and iterations >= 4
        self._calibrations = max(1, iterations // 10) if self._spared else 0
        self._steps = iterations - self._calibrations - self._spared

    @property
    def theta(self) -> np.ndarray:
        """Intercepts, then coefficients of the features as they are; (features + 1, outputs)."""
        shift = self._centre @ self._theta[1:]
        return np.vstack([self._theta[0] - shift, self._theta[1:]])

    def fit(self) -> bool:
        """Take the steps; return whether they settled, as noise never lets them."""
        if self._spared:
            self._find_centre()
        for _ in range(self._steps):
            if self._step():
                return True
        for _ in range(self._calibrations):
            self._calibrate()
        return self._session.noisy

    def _find_centre(self) -> None:
        size = len(self._theta)
        contribution = Contribution(
            fn=mean_terms,
            shape=(size,),
            unit_norm=MEANS_CLIP * self._norm,
            coordinate_max=1.0,
        )
        total = self._session.sum(contribution, to=ANALYST)
        self._centre = np.clip(total.value[1:] / max(1.0, total.value[0]), -1.0, 1.0)

    def _step(self) -> bool:
        size = len(self._theta)
        # Both parts get the same largest norm, so that one noise scale suits both.
        hessian_norm = gram_norm(self._norm) / 4
        scale = hessian_norm / self._norm
        contribution = Contribution(
            fn=newton_terms,
            shape=((size + size * (size + 1) // 2) * self._outputs,),
            unit_norm=float(self._clip_share * np.sqrt(2 * self._outputs) * hessian_norm),
            # Centred features reach from -2 to 2.
            coordinate_max=max(1.0, 2 * scale),
        )
        state = {"theta": self._theta, "centre": self._centre, "gradient_scale": np.array(scale)}
        total = self._session.sum(contribution, state, to=ANALYST)
        blocks = total.value.reshape(self._outputs, -1)
        moves = [self._move(block, k, scale, total.noise) for k, block in enumerate(blocks)]
        step = np.column_stack(moves)
        self._theta = self._theta + step
        settled = np.abs(step).max() < 1e-9 * max(1.0, np.abs(self._theta).max())
        return total.noise is None and bool(settled)

    def _move(self, block: np.ndarray, k: int, scale: float, noise: Noise | None) -> np.ndarray:
        size = len(self._theta)
        gradient, hessian = block[:size] / scale, symmetric(block[size:], size)
        if noise is not None:
            # Damping by the size of the noise's eigenvalues: a Levenberg step, not a wild one.
            hessian = nearest_positive(hessian) + damping(noise, size)
        slope = gradient - self._penalty * self._theta[:, k]
        return np.linalg.solve(hessian + np.diag(self._penalty), slope)

    def _calibrate(self) -> None:
        contribution = Contribution(
            fn=intercept_terms,
            shape=(2, self._outputs),
            unit_norm=float(np.sqrt(self._outputs * (1 + 1 / 16))),
            coordinate_max=1.0,
        )
        state = {"theta": self._theta, "centre": self._centre}
        total = self._session.sum(contribution, state, to=ANALYST)
        floor = total.noise.deviation if total.noise else 0.0
        slope, curvature = total.value
        self._theta[0] += slope / (np.maximum(curvature, 0.0) + floor)
