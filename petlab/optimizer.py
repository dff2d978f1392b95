"""Optimisers that the analyst applies to summed gradients."""

from __future__ import annotations

import numpy as np

from petlab.errors import UsageError

OPTIMIZERS = ("sgd", "adam")


class Optimizer:
    """Gradient descent on a flat weight vector.

    Parameters
    ----------
    name
        "sgd" (heavy-ball momentum 0.9) or "adam" (beta 0.9 and 0.999, bias corrected).
    rate
        Learning rate.
    weights
        Initial weights, shape (size,).

    References
    ----------
    .. [1] Kingma, Ba, Adam: A Method for Stochastic Optimization, ICLR 2015, algorithm 1.
    """

    def __init__(self, name: str, rate: float, weights: np.ndarray) -> None:
        if name not in OPTIMIZERS:
            raise UsageError(f"unknown optimizer {name!r}. Known: {', '.join(OPTIMIZERS)}.")
        self.weights, self._name, self._rate = weights, name, rate
        self._first, self._second = np.zeros_like(weights), np.zeros_like(weights)
        self._steps = 0

    def step(self, gradient: np.ndarray) -> None:
        """Take one step against the gradient of the mean loss."""
        self._steps += 1
        if self._name == "sgd":
            self._first = 0.9 * self._first + gradient
            self.weights = self.weights - self._rate * self._first
            return
        self._first = 0.9 * self._first + 0.1 * gradient
        self._second = 0.999 * self._second + 0.001 * gradient**2
        first = self._first / (1 - 0.9**self._steps)
        second = self._second / (1 - 0.999**self._steps)
        self.weights = self.weights - self._rate * first / (np.sqrt(second) + 1e-8)
