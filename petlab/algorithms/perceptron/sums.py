"""Training a perceptron by sums: what owners add to them, and what the analyst does with them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from petlab.algorithms.perceptron.network import ACTIVATIONS, GradientRows
from petlab.core.batches import steps_per_epoch
from petlab.core.contribution import State
from petlab.core.party import Memory, Shard
from petlab.core.rows import OwnerTotal, Rows
from petlab.errors import UsageError


def network_state(
    weights: np.ndarray, sizes: Sequence[int], activation: str, image: tuple[int, int] | None
) -> State:
    """Describe a network to the owners: public arrays that travel to them."""
    return {
        "weights": weights,
        "sizes": np.array(sizes),
        "activation": np.array(ACTIVATIONS.index(activation)),
        "image": np.array(image or (), dtype=np.int64),
    }


def gradient(state: State, shard: Shard, memory: Memory) -> Rows:
    """Gradient of each record in the batch."""
    return _gradient_rows(state, state["weights"], shard)


def local_training(state: State, shard: Shard, memory: Memory) -> Rows:
    """One local epoch from the broadcast weights: n times the new weights, and n."""
    rate, share, epoch, seed, clip_norm = state["training"]
    weights, steps = state["weights"], steps_per_epoch(share)
    for step in range(steps if shard.size else 0):
        drawn = shard.steps.draw(shard, share, int(epoch) * steps + step, seed=int(seed))
        rows = _gradient_rows(state, weights, drawn)
        gradient = shard.steps.total(rows, clip_norm)
        weights = weights - rate * gradient / (share * shard.size)
    return OwnerTotal(np.r_[weights * shard.size, shard.size])


def _gradient_rows(state: State, weights: np.ndarray, shard: Shard) -> GradientRows:
    return GradientRows(
        weights,
        shard["features"],
        shard["classes"],
        sizes=[int(n) for n in state["sizes"]],
        activation=ACTIVATIONS[int(state["activation"])],
        image=(int(state["image"][0]), int(state["image"][1])) if state["image"].size else None,
    )


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
