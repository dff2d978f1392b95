"""A small convolutional front for images: two layers of 3 x 3 filters, each pooled by two."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from petlab.errors import UsageError

CHANNELS = (1, 8, 16)
"""Channels of the image and after each layer."""
FILTER = 3

Image = tuple[int, int]
"""Height and width in pixels."""


def front_size(image: Image) -> int:
    """Numbers that the front hands to the dense layers.

    Raises
    ------
    UsageError
        The image is too small to be pooled twice.
    """
    height, width = image
    if min(image) < 4:
        raise UsageError("a convolutional network needs images of at least 4 x 4 pixels.")
    return CHANNELS[-1] * (height // 4) * (width // 4)


def front_count() -> int:
    """Weights and biases of the front."""
    return sum((a * FILTER**2 + 1) * b for a, b in itertools.pairwise(CHANNELS))


def initial_front(rng: np.random.Generator) -> np.ndarray:
    """He-uniform filters and zero biases, flat."""
    parts = []
    for a, b in itertools.pairwise(CHANNELS):
        limit = np.sqrt(3 / (a * FILTER**2))
        parts += [rng.uniform(-limit, limit, a * b * FILTER**2), np.zeros(b)]
    return np.concatenate(parts)


def front(
    parameters: Any,
    x: Any,
    image: Image,
    activate: Callable[[Any], Any],
    watch: Callable[[Any, Any], None] | None = None,
) -> Any:
    """Filter, activate and pool torch images (rows, pixels); shape (rows, front_size).

    Parameters
    ----------
    watch
        As in `petlab.algorithms.perceptron.network.outputs`.
    """
    import torch

    x, at = x.reshape(-1, 1, *image), 0
    for a, b in itertools.pairwise(CHANNELS):
        size = a * b * FILTER**2
        filters = parameters[at : at + size].reshape(b, a, FILTER, FILTER)
        bias = parameters[at + size : at + size + b]
        at += size + b
        z = torch.nn.functional.conv2d(x, filters, bias, padding=1)
        if watch:
            watch(torch.nn.functional.unfold(x, FILTER, padding=1), z)
        x = torch.nn.functional.avg_pool2d(activate(z), 2)
    return x.flatten(1)
