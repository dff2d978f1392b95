"""What one record adds to the sums behind logistic regression."""

from __future__ import annotations

import numpy as np

from petlab.contribution import State
from petlab.party import Memory, Shard
from petlab.rows import Dense, Gram, Outer, Rows, Stack
from petlab.scores import sigmoid


def newton_terms(state: State, shard: Shard, memory: Memory) -> Rows:
    """Gradient x (y - p) and Hessian p (1 - p) x x' of each record, class by class."""
    x, y, theta = with_intercept(shard["features"]), shard["labels"], state["theta"]
    p = sigmoid(x @ theta)
    parts: list[Rows] = []
    for k in range(theta.shape[1]):
        residual = (y[:, k] - p[:, k])[:, None] * state["gradient_scale"]
        parts += [Outer(x, residual), Gram(x, p[:, k] * (1 - p[:, k]))]
    return Stack(*parts)


def intercept_terms(state: State, shard: Shard, memory: Memory) -> Rows:
    """Derivatives y - p and p (1 - p) of each record's likelihood by the intercepts."""
    p = sigmoid(with_intercept(shard["features"]) @ state["theta"])
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
