"""Scores of classifiers, by scikit-learn, beside the reference's."""

from __future__ import annotations

import numpy as np

from petlab.core.claims import Metric

PRECISION_WANTED = 0.8
"""`recall_at_precision` is the recall among alarms of which four in five are right."""


def classifier_metrics(
    probabilities: np.ndarray, reference: np.ndarray, labels: np.ndarray
) -> dict[str, Metric]:
    """Score class probabilities against labels.

    Parameters
    ----------
    probabilities, reference
        Shape (rows, classes): the answer's and the reference's.
    labels
        Class numbers, shape (rows,).
    """
    ours, theirs = _scores(probabilities, labels), _scores(reference, labels)
    return {
        name: Metric(ours[name], theirs[name], "lower" if name == "brier" else "higher")
        for name in ours
    }


def agreement(probabilities: np.ndarray, reference: np.ndarray) -> Metric:
    """Share of records on which both predict the same class."""
    same = probabilities.argmax(1) == reference.argmax(1)
    return Metric(float(same.mean()), 1.0, "higher")


def two_columns(positive: np.ndarray) -> np.ndarray:
    """Probabilities of both classes from that of the positive one."""
    return np.column_stack([1 - positive, positive])


def _scores(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float | None]:
    from sklearn import metrics

    classes = probabilities.shape[1]
    predicted = probabilities.argmax(1)
    truth = np.eye(classes, dtype=int)[labels]
    binary = classes == 2
    target = (labels, probabilities[:, 1]) if binary else (truth, probabilities)
    ranked = len(np.unique(labels)) == classes
    found: dict[str, float | None] = {
        "accuracy": float(metrics.accuracy_score(labels, predicted)),
        "balanced_accuracy": float(metrics.balanced_accuracy_score(labels, predicted)),
        "auc": float(metrics.roc_auc_score(*target)) if ranked else None,
        "average_precision": float(metrics.average_precision_score(*target)) if ranked else None,
        "f1": float(
            metrics.f1_score(
                labels, predicted, average="binary" if binary else "macro", zero_division=0
            )
        ),
        "brier": float(((probabilities - truth) ** 2).sum(1).mean() / (2 if binary else 1)),
    }
    if binary and ranked:
        precision, recall, _ = metrics.precision_recall_curve(*target)
        found["recall_at_precision"] = float(recall[precision >= PRECISION_WANTED].max())
    return found
