"""Multilayer perceptrons as flat parameter vectors: initial values, outputs, gradients."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from petlab.rows import Rows

ACTIVATIONS = ("relu", "square", "tanh")


def parameter_count(sizes: Sequence[int]) -> int:
    """Weights and biases of a perceptron with the given layer sizes."""
    return sum((a + 1) * b for a, b in itertools.pairwise(sizes))


def initial_parameters(sizes: Sequence[int], *, seed: int) -> np.ndarray:
    """He-uniform weights and zero biases, flat; layer by layer, weights (a, b) then bias."""
    rng = np.random.default_rng([seed, 4])
    parts = []
    for a, b in itertools.pairwise(sizes):
        limit = np.sqrt(3 / a)
        parts += [rng.uniform(-limit, limit, a * b), np.zeros(b)]
    return np.concatenate(parts)


def layers(parameters: Any, sizes: Sequence[int]) -> list[tuple[Any, Any]]:
    """Views of a flat vector (numpy or torch) as (weights (a, b), bias (b,)) per layer."""
    found, at = [], 0
    for a, b in itertools.pairwise(sizes):
        weights = parameters[at : at + a * b].reshape(a, b)
        found.append((weights, parameters[at + a * b : at + a * b + b]))
        at += a * b + b
    return found


def outputs(parameters: Any, x: Any, sizes: Sequence[int], activation: str) -> Any:
    """Class scores before softmax, shape (rows, classes); numpy or torch."""
    *hidden, (weights, bias) = layers(parameters, sizes)
    for w, b in hidden:
        z = x @ w + b
        x = _ACTIVATE[activation](z)
    return x @ weights + bias


_ACTIVATE: dict[str, Callable[[Any], Any]] = {
    "relu": lambda z: np.maximum(z, 0) if isinstance(z, np.ndarray) else z.relu(),
    "square": lambda z: z * z,
    "tanh": lambda z: np.tanh(z) if isinstance(z, np.ndarray) else z.tanh(),
}


class GradientRows(Rows):
    """Per-example gradients of softmax cross-entropy, one row a record, never stored.

    The total costs one backward pass; the norms, which only clipping needs, one
    vectorised pass per example.
    """

    def __init__(
        self,
        parameters: np.ndarray,
        x: np.ndarray,
        y: np.ndarray,
        *,
        sizes: Sequence[int],
        activation: str,
    ) -> None:
        import torch

        self.count, self.width = len(x), len(parameters)
        self._parameters = torch.from_numpy(np.array(parameters, float))
        self._x = torch.from_numpy(np.asarray(x, float))
        self._y = torch.from_numpy(np.asarray(y, np.int64))
        self._outputs = partial(outputs, sizes=tuple(sizes), activation=activation)

    def total(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Gradient of the summed (weighted) loss."""
        import torch

        if not self.count:
            return np.zeros(self.width)
        parameters = self._parameters.clone().requires_grad_(True)
        scores = self._outputs(parameters, self._x)
        losses = torch.nn.functional.cross_entropy(scores, self._y, reduction="none")
        scale = 1.0 if weights is None else torch.tensor(weights, dtype=torch.float64)
        (losses * scale).sum().backward()
        return parameters.grad.numpy()

    def norms(self, order: int = 2) -> np.ndarray:
        """Norm of each example's gradient."""
        import torch

        if not self.count:
            return np.zeros(0)

        def loss(parameters: Any, x: Any, y: Any) -> Any:
            scores = self._outputs(parameters, x[None])
            return torch.nn.functional.cross_entropy(scores, y[None])

        per_example = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))
        gradients = per_example(self._parameters, self._x, self._y)
        return torch.linalg.vector_norm(gradients, ord=order, dim=1).numpy()
