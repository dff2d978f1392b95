"""Train a perceptron on records that nobody sees: gradients and optimisers by hand.

A layer is one matrix, its weights (inputs, outputs) above its bias (1, outputs).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from petlab.algorithms.perceptron.sums import OPTIMIZERS
from petlab.core.arrays import Protected

WEIGHT_MAX = 64.0
"""Public bound on weights that travel or are trained under protection: past it, refused."""
BOUNDED_EVERY = 32
"""Steps between two comparisons with it: in between, what is public bounds the growth."""
SCORE_MAX = 64.0
"""Declared bound on a class score, and on what tanh is taken of."""
GRADIENT_SCALE = 2.0**5
"""Adam sees the mean gradient times this, so that squares of small ones are not rounded off."""
SQUARES_FLOOR = 2.0**-8
"""Added to Adam's sum of squares in place of its epsilon."""
SQUARES_MAX = 2.0**14
"""Declared bound on Adam's sum of squares."""


def layer_matrices(parameters: np.ndarray, sizes: Sequence[int]) -> list[np.ndarray]:
    """Cut a flat vector of `perceptron.network` into one matrix (inputs + 1, outputs) a layer."""
    found, at = [], 0
    for a, b in itertools.pairwise(sizes):
        found.append(parameters[at : at + (a + 1) * b].reshape(a + 1, b))
        at += (a + 1) * b
    return found


def train_protected(
    x: Protected,
    targets: Protected,
    optimizer: ProtectedOptimizer,
    activation: str,
    batches: Iterable[np.ndarray],
) -> list[Protected]:
    """Take a step for each batch, an index of rows, and return the trained layers."""
    for index in batches:
        if len(index):
            sums = gradients(x[index], targets[index], optimizer.layers, activation)
            optimizer.step(sums, len(index))
    return optimizer.layers


def gradients(
    x: Protected, targets: Protected, layers: Sequence[Any], activation: str
) -> list[Protected]:
    """Gradient of the summed softmax cross-entropy, a matrix for each layer.

    Parameters
    ----------
    x, targets
        Features and one-hot classes of a batch.
    layers
        Matrices, public (as at the first step) or protected.
    activation
        "relu", "tanh" or "square".
    """
    session = x.session
    inputs, slopes = [x], []
    for layer in layers[:-1]:
        value, slope = _ACTIVATE[activation](_linear(inputs[-1], layer))
        inputs.append(value)
        slopes.append(slope)
    scores = _linear(inputs[-1], layers[-1])
    back = _at_most_one(session.softmax(scores, bound=SCORE_MAX) - targets)
    found: list[Protected] = []
    while True:
        value = inputs.pop()
        found.insert(0, session.stack([value.T @ back, session.total(back, axis=0)]))
        if not inputs:
            return found
        back = (back @ layers[len(inputs)][:-1].T) * slopes.pop()


class ProtectedOptimizer:
    """Gradient descent on matrices that nobody sees.

    Adam's bias corrections are public numbers and go into its rate; its sums of gradients
    and of their squares are kept without the factors 1 - beta, in which small ones would
    be rounded off.

    Parameters
    ----------
    name
        "sgd" (heavy-ball momentum 0.9) or "adam" (beta 0.9 and 0.999).
    rate
        Learning rate.
    layers
        Initial matrices.

    References
    ----------
    .. [1] Kingma, Ba, Adam: A Method for Stochastic Optimization, ICLR 2015, section 2 (the
       corrections in the rate).
    """

    def __init__(self, name: str, rate: float, layers: Sequence[Any]) -> None:
        assert name in OPTIMIZERS
        self.layers = list(layers)
        self._name, self._rate, self._steps = name, rate, 0
        self._first: list[Any] = [0.0] * len(layers)
        self._second: list[Any] = [SQUARES_FLOOR] * len(layers)

    def step(self, sums: Sequence[Protected], rows: int) -> None:
        """Take one step against the mean of `rows` records' gradients, given their sums."""
        self._steps += 1
        move = self._adam if self._name == "adam" else self._sgd
        for k, total in enumerate(sums):
            self.layers[k] = self.layers[k] - move(k, total, rows)
            if self._steps % BOUNDED_EVERY == 0:
                self.layers[k] = total.session.bounded(self.layers[k], bound=WEIGHT_MAX)

    def _sgd(self, k: int, total: Protected, rows: int) -> Protected:
        self._first[k] = self._first[k] * 0.9 + total * (1 / rows)
        return self._first[k] * self._rate

    def _adam(self, k: int, total: Protected, rows: int) -> Protected:
        gradient = total * (GRADIENT_SCALE / rows)
        # The floor decays with the squares, and is filled up.
        self._second[k] = self._second[k] * 0.999 + SQUARES_FLOOR * 0.001 + gradient.square()
        self._first[k] = self._first[k] * 0.9 + gradient
        spread = total.session.inv_sqrt(
            self._second[k],
            # Rounding may take a little off a sum of squares that is zero.
            low=SQUARES_FLOOR / 2,
            high=SQUARES_MAX,
        )
        first = (1 - 0.9) / (1 - 0.9**self._steps)
        second = (1 - 0.999) / (1 - 0.999**self._steps)
        return (self._first[k] * spread) * (self._rate * first / math.sqrt(second))


def _at_most_one(value: Protected) -> Protected:
    """State what the functions' declared accuracy implies, errors of 1 % twice included."""
    return value.session.bounded(value, bound=1.05, proven=True)


def _linear(x: Protected, layer: Any) -> Protected:
    return x @ layer[:-1] + layer[-1:]


def _relu(z: Protected) -> tuple[Protected, Protected]:
    above = z.session.positive(z)
    return z * above, above


def _tanh(z: Protected) -> tuple[Protected, Protected]:
    value = _at_most_one(z.session.sigmoid(z * 2.0, bound=2 * SCORE_MAX) * 2.0 - 1.0)
    return value, _at_most_one(1.0 - value.square())


def _square(z: Protected) -> tuple[Protected, Protected]:
    return z.square(), z * 2.0


_ACTIVATE = {"relu": _relu, "tanh": _tanh, "square": _square}
