"""What a cell's released model tells about who was in its training data."""

from __future__ import annotations

import numpy as np

from petlab.algorithms.membership import Membership, exposure, membership
from petlab.core.claims import Guarantee, Metric
from petlab.core.task import Answer, Records
from petlab.running.prepared import Prepared

LARGEST = 1000
"""Records of either kind that losses are computed of: enough to tell 1 % of false positives."""


def exposed(
    prepared: Prepared,
    answers: tuple[Answer, Answer],
    records: tuple[Records, Records],
    guarantee: Guarantee,
) -> dict[str, Metric]:
    """Attack the released model, and the reference's, by their losses.

    Parameters
    ----------
    answers
        The cell's and the reference's.
    records
        What was trained on, and what was kept for testing.
    guarantee
        Whose epsilon bounds the advantage of any attack.
    """
    chosen = [_some(part, prepared.cell.seed) for part in records]
    ours, theirs = (_attacked(prepared, answer, *chosen) for answer in answers)
    if ours is None:
        return {}
    return exposure(ours, theirs, epsilon=guarantee.epsilon, delta=guarantee.delta)


def _attacked(
    prepared: Prepared, answer: Answer, train: Records, test: Records
) -> Membership | None:
    inside, outside = (
        prepared.task.losses(answer, part, prepared.settings) for part in (train, test)
    )
    if inside is None or outside is None or not (len(inside) and len(outside)):
        return None
    return membership(inside, outside, seed=prepared.cell.seed)


def _some(records: Records, seed: int) -> Records:
    rows = len(records.labels)
    if rows <= LARGEST:
        return records
    return records.take(np.random.default_rng([seed, 8]).choice(rows, LARGEST, replace=False))
