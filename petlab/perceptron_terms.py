"""What owners add to the sums behind a perceptron's training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from petlab.contribution import State
from petlab.party import Memory, Shard
from petlab.perceptron import ACTIVATIONS, GradientRows
from petlab.rows import OwnerTotal, Rows
from petlab.sampling import steps_per_epoch


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
