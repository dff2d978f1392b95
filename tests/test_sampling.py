"""Batches: every record once an epoch, the same under every technique."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from petlab.core.batches import batch, steps_per_epoch

RATES = st.floats(0.01, 1.0)
SEEDS = st.tuples(st.integers(0, 1000), st.sampled_from(["owner-1", "owner-2"]))


@given(st.integers(0, 300), RATES, st.integers(0, 5), SEEDS)
def test_batches_of_an_epoch_are_disjoint_and_cover(
    rows: int, rate: float, epoch: int, seed: tuple[int, str]
) -> None:
    """Each record stands in exactly one batch of each epoch."""
    steps = steps_per_epoch(rate)
    drawn = [batch(rows, rate, epoch * steps + k, seed=seed) for k in range(steps)]
    assert sorted(np.concatenate(drawn).tolist()) == list(range(rows))


@given(st.integers(1, 300), RATES, st.integers(0, 50), SEEDS)
def test_batch_has_about_its_share(
    rows: int, rate: float, step: int, seed: tuple[int, str]
) -> None:
    """Batches of one epoch differ by at most one record, and none is over the rate."""
    size = len(batch(rows, rate, step, seed=seed))
    assert abs(size - rows / steps_per_epoch(rate)) < 1
    assert size < rate * rows + 1


@given(RATES)
def test_steps_cover_the_records(rate: float) -> None:
    """As many steps as it takes, and not one more."""
    steps = steps_per_epoch(rate)
    assert steps * rate >= 1 - 1e-6
    assert (steps - 1) * rate < 1


def test_tenths_are_ten_steps() -> None:
    """A share such as 0.1 is not eleven steps by rounding."""
    assert [steps_per_epoch(1 / n) for n in (1, 3, 10, 30, 49)] == [1, 3, 10, 30, 49]


@given(st.integers(0, 100))
def test_batches_repeat_with_the_seed_only(step: int) -> None:
    """Same seed and owner: same batch; another owner, seed or epoch: another order."""
    drawn = batch(200, 0.5, step, seed=(1, "owner-1")).tolist()
    assert drawn == batch(200, 0.5, step, seed=(1, "owner-1")).tolist()
    assert drawn != batch(200, 0.5, step, seed=(2, "owner-1")).tolist()
    assert drawn != batch(200, 0.5, step, seed=(1, "owner-2")).tolist()
    assert drawn != batch(200, 0.5, step + 2, seed=(1, "owner-1")).tolist()
