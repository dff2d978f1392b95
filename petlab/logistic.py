"""What one record adds to the sums behind logistic regression."""

from __future__ import annotations

import numpy as np

from petlab.contribution import State
from petlab.party import Memory, Shard
from petlab.rows import Dense, Gram, Outer, Rows, Stack
from petlab.scores import sigmoid


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
