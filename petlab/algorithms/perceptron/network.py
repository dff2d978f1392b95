"""Small networks as flat parameter vectors: initial values, outputs, gradients.

A network is a perceptron of the given layer sizes; with an image shape, a convolutional
front stands before it, and the first size counts pixels.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from petlab.algorithms.perceptron.convolution import (
    Image,
    front,
    front_count,
    front_size,
    initial_front,
)
from petlab.core.rows import Rows

Watch = Callable[[Any, Any], None]
"""Is shown a layer's inputs and sums."""
ACTIVATIONS = ("relu", "square", "tanh")


def dense_sizes(sizes: Sequence[int], image: Image | None) -> list[int]:
    """Layer sizes behind the convolutional front, if there is one."""
    return list(sizes) if image is None else [front_size(image), *sizes[1:]]


def parameter_count(sizes: Sequence[int], image: Image | None = None) -> int:
    """Weights and biases of a network."""
    dense = dense_sizes(sizes, image)
    before = 0 if image is None else front_count()
    return before + sum((a + 1) * b for a, b in itertools.pairwise(dense))


def initial_parameters(
    sizes: Sequence[int], *, seed: int, image: Image | None = None
) -> np.ndarray:
    """He-uniform weights and zero biases, flat; layer by layer, weights (a, b) then bias."""
    rng = np.random.default_rng([seed, 4])
    parts = [] if image is None else [initial_front(rng)]
    for a, b in itertools.pairwise(dense_sizes(sizes, image)):
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


def outputs(
    parameters: Any,
    x: Any,
    sizes: Sequence[int],
    activation: str,
    image: Image | None = None,
    watch: Watch | None = None,
) -> Any:
    """Class scores before softmax, shape (rows, classes); numpy or torch.

    Parameters
    ----------
    watch
        Is shown every layer's inputs (rows, inputs, places) and sums (rows, outputs,
        places) before activation; a dense layer has one place, a filter one per pixel.
    """
    activate = _ACTIVATE[activation]
    if image is not None:
        if isinstance(x, np.ndarray):
            import torch

            tensors = torch.from_numpy(np.array(parameters)), torch.from_numpy(x)
            return outputs(*tensors, sizes, activation, image).numpy()
        x = front(parameters, x, image, activate, watch)
        parameters = parameters[front_count() :]
    found = layers(parameters, dense_sizes(sizes, image))
    for k, (weights, bias) in enumerate(found):
        z = x @ weights + bias
        if watch:
            watch(x[:, :, None], z)
        x = activate(z) if k < len(found) - 1 else z
    return x


_ACTIVATE: dict[str, Callable[[Any], Any]] = {
    "relu": lambda z: np.maximum(z, 0) if isinstance(z, np.ndarray) else z.relu(),
    "square": lambda z: z * z,
    "tanh": lambda z: np.tanh(z) if isinstance(z, np.ndarray) else z.tanh(),
}


class GradientRows(Rows):
    """Per-example gradients of softmax cross-entropy, one row a record, never stored.

    The total costs one backward pass; so do the norms, which only clipping needs.
    """

    def __init__(
        self,
        parameters: np.ndarray,
        x: np.ndarray,
        y: np.ndarray,
        *,
        sizes: Sequence[int],
        activation: str,
        image: Image | None = None,
    ) -> None:
        import torch

        self.count, self.width = len(x), len(parameters)
        self._parameters = torch.from_numpy(np.array(parameters, float))
        self._x = torch.from_numpy(np.asarray(x, float))
        self._y = torch.from_numpy(np.asarray(y, np.int64))
        self._outputs = partial(outputs, sizes=tuple(sizes), activation=activation, image=image)

    def total(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Gradient of the summed (weighted) loss."""
        import torch

        if not self.count:
            return np.zeros(self.width)
        parameters = self._parameters.detach().requires_grad_(True)
        scores = self._outputs(parameters, self._x)
        losses = torch.nn.functional.cross_entropy
        if weights is None:
            loss = losses(scores, self._y, reduction="sum")
        else:
            loss = losses(scores, self._y, reduction="none") @ torch.tensor(weights)
        loss.backward()
        return parameters.grad.numpy()

    def norms(self, order: int = 2) -> np.ndarray:
        """Norm of each example's gradient.

        One backward pass for all examples: a layer's gradient is the product of its inputs
        and of what flows back to its sums, whose norms are at hand (Goodfellow 2015,
        Efficient Per-Example Gradient Computations; for filters, the product itself).
        """
        import torch

        if not self.count:
            return np.zeros(0)
        inputs: list[Any] = []
        sums: list[Any] = []

        def watch(x: Any, z: Any) -> None:
            inputs.append(x.detach())
            sums.append(z)

        parameters = self._parameters.clone().requires_grad_(True)
        scores = self._outputs(parameters, self._x, watch=watch)
        loss = torch.nn.functional.cross_entropy(scores, self._y, reduction="sum")
        powers = torch.zeros(self.count, dtype=torch.float64)
        for x, back in zip(inputs, torch.autograd.grad(loss, sums), strict=True):
            powers += _power(x, back.reshape(self.count, back.shape[1], -1), order)
        return (powers ** (1 / order)).numpy()


def _power(x: Any, back: Any, order: int) -> Any:
    """Sum over a layer's weights and biases of |gradient|^order, example by example."""
    bias = (back.sum(2).abs() ** order).sum(1)
    if x.shape[2] == 1:
        return (x.abs() ** order).sum((1, 2)) * (back.abs() ** order).sum((1, 2)) + bias
    return ((back @ x.transpose(1, 2)).abs() ** order).sum((1, 2)) + bias
