"""Remarks on scores that mean less than they seem to."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from petlab.core.claims import Guarantee, Metric

FEWEST_TESTED = 10
"""Test records of a class below which one record moves a rate by ten points or more."""
WIDE = 0.1
"""Half of a 95 % interval of AUC from which it is called uncertain."""
FAR = 0.01
"""Loss of AUC that little but missing steps explains where no noise is added."""


def cautions(
    quality: Mapping[str, Metric], labels: np.ndarray | None, guarantee: Guarantee
) -> tuple[str, ...]:
    """Say what a reader of the scores should know about them.

    Parameters
    ----------
    quality
        The scores.
    labels
        Classes of the test records, shape (rows,); None where nothing was held out.
    guarantee
        What ran: noise explains a loss that otherwise nothing does.
    """
    if labels is None:
        return ()
    counts = np.bincount(labels, minlength=2)
    return tuple([*_about_tests(quality, counts), *_about_loss(quality, guarantee)])


def _about_tests(quality: Mapping[str, Metric], counts: np.ndarray) -> Iterator[str]:
    fewest, tested = int(counts.min()), int(counts.sum())
    if fewest == 0:
        yield "A class has no test record: scores that need one of each are left out."
    elif fewest < FEWEST_TESTED:
        yield f"Scores rest on {fewest} test records of the rarest class, of {tested}: take care."
    auc = _value(quality, "auc")
    if auc is not None and fewest and len(counts) == 2:
        half = 1.96 * _auc_deviation(auc, int(counts[1]), int(counts[0]))
        if half > WIDE:
            yield f"AUC is uncertain: {auc:.2f} ± {half:.2f} (95 %) on these test records."
        elif abs(auc - 0.5) < half:
            yield "AUC is not told apart from guessing."
    accuracy, largest = _value(quality, "accuracy"), counts.max() / tested
    if accuracy is not None and accuracy < largest:
        yield (
            f"Accuracy is below {largest:.3f}, which always naming the most frequent class gives."
        )
    if _value(quality, "f1") == 0:
        yield "No positive record was found: F1 is zero."


def _about_loss(quality: Mapping[str, Metric], guarantee: Guarantee) -> Iterator[str]:
    if guarantee.epsilon is not None or "output" in guarantee.kind:
        return
    auc = quality.get("auc")
    if auc is None or auc.value is None or auc.reference is None:
        return
    if auc.reference - auc.value > FAR:
        yield (
            f"AUC is {auc.reference - auc.value:.3f} below the exact fit's although no noise was "
            "added: the steps did not converge, or their arithmetic is too coarse. Allow more of "
            "them."
        )


def _value(quality: Mapping[str, Metric], name: str) -> float | None:
    return quality[name].value if name in quality else None


def _auc_deviation(auc: float, positives: int, negatives: int) -> float:
    """Standard deviation of an AUC (Hanley, McNeil, Radiology 143, 1982)."""
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (positives - 1) * (q1 - auc**2) + (negatives - 1) * (q2 - auc**2)
    return math.sqrt(max(0.0, spread) / (positives * negatives))
