"""Scores that mean less than they seem carry a note that says so."""

from __future__ import annotations

import numpy as np
import pytest

from petlab.core.claims import Guarantee, Metric
from petlab.running.cautions import cautions
from petlab.running.evaluator import evaluate
from petlab.running.result import Cell

EXACT = Guarantee("none", "nothing", "everything")
PRIVATE = Guarantee("output", "presence", "the rest", epsilon=1.0)


def scores(**values: float | None) -> dict[str, Metric]:
    """Scores whose reference is the same."""
    return {name: Metric(value, value, "higher") for name, value in values.items()}


def labels(negatives: int, positives: int) -> np.ndarray:
    """Classes of test records."""
    return np.repeat([0, 1], [negatives, positives])


@pytest.mark.parametrize(
    ("quality", "tested", "says"),
    [
        (scores(auc=0.9), labels(40, 3), "3 test records of the rarest class"),
        (scores(auc=None), labels(40, 0), "A class has no test record"),
        (scores(auc=0.8), labels(400, 12), "AUC is uncertain: 0.80 ± 0.1"),
        (scores(auc=0.52), labels(300, 300), "not told apart from guessing"),
        (scores(accuracy=0.88), labels(90, 10), "below 0.900, which always naming"),
        (scores(f1=0.0), labels(50, 50), "F1 is zero"),
        ({"auc": Metric(0.667, 0.716, "higher")}, labels(900, 900), "AUC is 0.049 below"),
    ],
)
def test_a_weak_score_is_said_to_be_weak(quality: dict, tested: np.ndarray, says: str) -> None:
    """With the number that makes it so."""
    assert any(says in note for note in cautions(quality, tested, EXACT))


def test_a_good_score_on_many_records_needs_no_note() -> None:
    """Nor does a test statistic, which has no test records."""
    good = scores(auc=0.97, accuracy=0.95, f1=0.9)
    assert cautions(good, labels(200, 100), EXACT) == ()
    assert cautions(scores(p_value_abs_error=0.0), None, EXACT) == ()


def test_noise_explains_a_loss_and_missing_steps_do_not_go_unsaid() -> None:
    """The same loss of AUC, with privacy and without."""
    lost = {"auc": Metric(0.667, 0.716, "higher")}
    assert cautions(lost, labels(900, 900), PRIVATE) == ()
    assert cautions(lost, labels(900, 900), EXACT)


def test_gradient_steps_that_do_not_converge_are_named() -> None:
    """Logistic regression on Taiwan at its default steps."""
    settings = {"method": "gradient"}
    result = evaluate(Cell("logreg", "sums", "cleartext", "taiwan_default", settings=settings))
    assert result.quality["auc"].value < result.quality["auc"].reference - 0.01
    assert any("did not converge" in note for note in result.notes)
