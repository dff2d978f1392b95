"""What an owner sends, as an attacker computes it for records that it guesses.

The network's gradients are written out layer by layer, apart from the code that owners run: a
layer's gradient is the product of its inputs and of what flows back to its sums.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from petlab.algorithms.perceptron.network import layers

Layer = tuple[np.ndarray, np.ndarray]
"""Weights (inputs, outputs) and biases (outputs,), or their gradients."""


@dataclass(frozen=True)
class Sender:
    """The public rule by which records become an owner's message.

    Attributes
    ----------
    weights
        The model that was broadcast, flat.
    sizes
        Layer sizes, of the features first.
    activation
        "tanh", "relu" or "square".
    clip_norm
        Norm to which each record's gradient is scaled down before it is added, or None.
    """

    weights: np.ndarray
    sizes: Sequence[int]
    activation: str
    clip_norm: float | None = None

    @property
    def classes(self) -> int:
        """Number of outputs."""
        return self.sizes[-1]

    def flow(self, x: np.ndarray, y: np.ndarray) -> list[Layer]:
        """Each layer's inputs (records, inputs), and what flows back to its sums.

        Parameters
        ----------
        x, y
            Features (records, features), and labels as rows of ones and zeros.
        """
        activate, slope = _ACTIVATIONS[self.activation]
        network = layers(self.weights, self.sizes)
        inputs, sums = [x], []
        for weights, bias in network:
            sums.append(inputs[-1] @ weights + bias)
            inputs.append(activate(sums[-1]))
        back = [_softmax(sums[-1]) - y]
        for k in range(len(network) - 1, 0, -1):
            back.append((back[-1] @ network[k][0].T) * slope(sums[k - 1]))
        return self._clipped(list(zip(inputs, reversed(back), strict=False)))

    def message(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return what an owner of these records alone sends, without noise; shape (size,)."""
        parts = [(a.T @ b, b.sum(0)) for a, b in self.flow(x, y)]
        return np.concatenate([part.ravel() for pair in parts for part in pair])

    def split(self, message: np.ndarray) -> list[Layer]:
        """Cut a flat message into the gradients of each layer."""
        return layers(message, self.sizes)

    def _clipped(self, flow: list[Layer]) -> list[Layer]:
        if self.clip_norm is None:
            return flow
        squares = sum(((a**2).sum(1) + 1) * (b**2).sum(1) for a, b in flow)
        scale = np.minimum(1.0, self.clip_norm / np.sqrt(np.maximum(squares, 1e-300)))
        return [(a, b * scale[:, None]) for a, b in flow]


def _softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


_ACTIVATIONS: dict[str, tuple[Callable[..., np.ndarray], Callable[..., np.ndarray]]] = {
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(float)),
    "square": (lambda z: z * z, lambda z: 2 * z),
}
