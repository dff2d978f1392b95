"""Which records a training step uses: the same under every technique."""

from __future__ import annotations

import math
import zlib

import numpy as np


def steps_per_epoch(sample_rate: float) -> int:
    """How many batches make one pass over the records."""
    return max(1, math.ceil(1 / sample_rate - 1e-9))


def batch(rows: int, sample_rate: float, step: int, *, seed: tuple[int, str]) -> np.ndarray:
    """Indices of one owner's records in the given step; shuffled anew each epoch.

    The batches of one epoch are disjoint and cover all records. Owners draw on their
    own, so that a batch holds every owner's share of it.

    Parameters
    ----------
    rows
        Records of the owner.
    sample_rate
        Share of the records in one batch.
    step
        Counted from 0 over all epochs.
    seed
        The study's seed and the owner's name.
    """
    batches = steps_per_epoch(sample_rate)
    epoch, position = divmod(step, batches)
    number, owner = seed
    rng = np.random.default_rng([number, zlib.crc32(owner.encode()), epoch])
    order = rng.permutation(rows)
    return order[position * rows // batches : (position + 1) * rows // batches]
