"""Train a network with torch's own modules and optimisers: the reference for `deep`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from petlab.algorithms.perceptron.convolution import (
    CHANNELS,
    FILTER,
    Image,
    front_count,
    front_size,
)
from petlab.algorithms.perceptron.network import initial_parameters


def fit_with_torch(
    x: np.ndarray,
    y: np.ndarray,
    *,
    sizes: Sequence[int],
    image: Image | None,
    activation: str,
    adam: bool,
    rate: float,
    epochs: int,
    batch: int,
    seed: int,
) -> np.ndarray:
    """Train on pooled records and return flat weights, laid out as `perceptron.network` does.

    Parameters
    ----------
    x, y
        Features (rows, inputs) and class numbers (rows,).
    sizes, image, activation
        The network; it starts from the same weights as the programs do.
    adam, rate, epochs, batch
        Optimiser (else SGD with momentum 0.9), learning rate, passes, records a step.
    """
    import torch

    torch.manual_seed(seed)
    network = _network(sizes, image, activation)
    torch.nn.utils.vector_to_parameters(
        torch.from_numpy(
            _transposed(initial_parameters(sizes, seed=seed, image=image), sizes, image)
        ),
        network.parameters(),
    )
    optimizer: Any
    if adam:
        optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    else:
        optimizer = torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9)
    records = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    for _ in range(epochs):
        for index in torch.randperm(len(records)).split(batch):
            inputs, labels = records[index]
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(inputs), labels).backward()
            optimizer.step()
    flat = torch.nn.utils.parameters_to_vector(network.parameters()).detach().numpy()
    return _transposed(flat, sizes, image, back=True)


def _network(sizes: Sequence[int], image: Image | None, activation: str) -> Any:
    import torch

    modules: list[Any] = []
    dense = list(sizes)
    if image is not None:
        modules.append(torch.nn.Unflatten(1, (1, *image)))
        for a, b in itertools.pairwise(CHANNELS):
            modules.append(torch.nn.Conv2d(a, b, FILTER, padding=1))
            modules += [_activation(activation), torch.nn.AvgPool2d(2)]
        modules.append(torch.nn.Flatten())
        dense[0] = front_size(image)
    for k, (a, b) in enumerate(itertools.pairwise(dense)):
        modules += [_activation(activation)] if k else []
        modules.append(torch.nn.Linear(a, b))
    return torch.nn.Sequential(*modules).double()


def _activation(name: str) -> Any:
    import torch

    class Square(torch.nn.Module):
        def forward(self, z: Any) -> Any:
            return z.square()

    return {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "square": Square}[name]()


def _transposed(
    flat: np.ndarray, sizes: Sequence[int], image: Image | None, *, back: bool = False
) -> np.ndarray:
    """Swap between our weights (inputs, outputs) and torch's (outputs, inputs)."""
    start = 0 if image is None else front_count()
    dense = list(sizes) if image is None else [front_size(image), *sizes[1:]]
    parts, at = [flat[:start]], start
    for a, b in itertools.pairwise(dense):
        shape = (b, a) if back else (a, b)
        parts.append(flat[at : at + a * b].reshape(shape).T.ravel())
        parts.append(flat[at + a * b : at + a * b + b])
        at += a * b + b
    return np.concatenate(parts)
