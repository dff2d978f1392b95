"""Does a released model show who was in its training data? Losses of members beside others'.

A model fits the records it was trained on better than others from the same population. Who
reads the model and holds a record computes its loss: a small one speaks for a member. One
threshold serves all records; attacks that train models of their own to learn how hard each
record is find more (Carlini et al. 2022), so that what is measured here is a floor.

References
----------
.. [1] Yeom, Giacomelli, Fredrikson, Jha, Privacy Risk in Machine Learning: Analyzing the
   Connection to Overfitting, IEEE CSF 2018 (loss threshold, advantage).
.. [2] Carlini et al., Membership Inference Attacks From First Principles, IEEE S&P 2022
   (true positives at a low false positive rate).
.. [3] Newcombe, Confidence intervals for an effect size measure based on the Mann-Whitney
   statistic, part 2, Statistics in Medicine 25, 2006 (method 5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from petlab.core.claims import Metric

LOW_RATE = 0.01
"""False positives that the true positive rate is given at, where there are enough others."""
NORMAL_95 = 1.959964


@dataclass(frozen=True)
class Membership:
    """How well a threshold on the loss tells members from others.

    Attributes
    ----------
    auc, auc_low, auc_high
        Chance that a member's loss is the smaller of the two, and its 95 % interval; 0.5 is
        guessing.
    tpr, fpr
        Largest share of members that are found at the lowest false positive rate that can be
        told: 1 %, or one of the others where there are fewer than a hundred.
    advantage, advantage_low, advantage_high
        True minus false positive rate, at a threshold that was chosen on other records, with
        its 95 % interval.
    """

    auc: float
    auc_low: float
    auc_high: float
    tpr: float
    fpr: float
    advantage: float
    advantage_low: float
    advantage_high: float


def membership(members: np.ndarray, others: np.ndarray, *, seed: int = 0) -> Membership:
    """Attack a model by the losses of training records and of records it never saw.

    Parameters
    ----------
    members, others
        Losses, shapes (m,) and (n,); infinite ones are allowed, undefined ones count so.
    seed
        Chooses the halves on which thresholds are chosen and judged.
    """
    rng = np.random.default_rng([seed, 8])
    inside, outside = _shuffled(members, rng), _shuffled(others, rng)
    auc = _auc(inside, outside)
    low, high = auc_interval(auc, len(inside), len(outside))
    tpr, fpr = _found_at(inside, outside, max(LOW_RATE, 1 / len(outside)))
    advantage, margin = _advantage(inside, outside)
    return Membership(
        *(auc, low, high, tpr, fpr),
        *(advantage, max(-1.0, advantage - margin), min(1.0, advantage + margin)),
    )


def exposure(
    found: Membership,
    reference: Membership | None,
    *,
    epsilon: float | None = None,
    delta: float | None = None,
) -> dict[str, Metric]:
    """Name the figures of an attack, beside those of the same attack on the reference.

    Parameters
    ----------
    epsilon, delta
        Of the released model, or None where nothing bounds what it tells.
    """
    theirs = {} if reference is None else vars(reference)
    metrics = {
        f"membership_{name}": Metric(value, theirs.get(name), "lower")
        for name, value in vars(found).items()
    }
    if epsilon is not None:
        bound = advantage_bound(epsilon, delta or 0.0)
        metrics["membership_advantage_bound"] = Metric(bound, 1.0, "lower")
    return metrics


def advantage_bound(epsilon: float, delta: float) -> float:
    """Largest advantage of anybody over an (epsilon, delta)-private output.

    (e^eps - 1 + 2 delta) / (e^eps + 1): Humphries et al., Investigating Membership Inference
    Attacks under Data Dependencies, IEEE CSF 2023.
    """
    return float(min(1.0, np.tanh(epsilon / 2) + 2 * delta / (np.exp(min(epsilon, 700.0)) + 1)))


def auc_interval(auc: float, m: int, n: int) -> tuple[float, float]:
    """95 % interval of an area under the curve, which does not collapse at 0 or 1.

    The limits are where the area lies 1.96 standard errors away, each error being that at the
    limit (Newcombe's method 5).
    """
    return 1 - _upper(1 - auc, m, n), _upper(auc, m, n)


def softmax_losses(scores: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Cross-entropy of each record; scores (rows, classes) before softmax."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.logaddexp.reduce(scores, axis=1)
        return np.asarray(total - scores[np.arange(len(classes)), classes])


def logistic_losses(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Logistic loss of each record, summed over the outputs; labels are 0 or 1, (rows, outputs)."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.logaddexp(0.0, (1 - 2 * labels) * scores).sum(1))


def _shuffled(losses: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Losses in random order, undefined ones as infinite."""
    return np.nan_to_num(rng.permutation(losses), nan=np.inf, posinf=np.inf)


def _auc(members: np.ndarray, others: np.ndarray) -> float:
    ranked = np.sort(others)
    larger = len(ranked) - np.searchsorted(ranked, members, side="right")
    equal = len(ranked) - np.searchsorted(ranked, members, side="left") - larger
    return float((larger + equal / 2).mean() / len(ranked))


def _found_at(members: np.ndarray, others: np.ndarray, rate: float) -> tuple[float, float]:
    """True positives at the largest threshold with at most this rate of false positives."""
    allowed = int(rate * len(others) + 1e-9)
    if allowed >= len(others):
        return 1.0, 1.0
    # Everything below the next of the others is called a member.
    threshold = np.sort(others)[allowed]
    return float((members < threshold).mean()), float((others < threshold).mean())


def _advantage(members: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    """True minus false positives at thresholds chosen on one half and judged on the other.

    Chosen and judged on the same records it would be positive for any model.
    """
    gains, variances = [], []
    for half in (0, 1):
        threshold = _best_threshold(members[half::2], others[half::2])
        inside, outside = members[1 - half :: 2], others[1 - half :: 2]
        if not (len(inside) and len(outside)):
            return 0.0, 1.0
        rates = (inside <= threshold).mean(), (outside <= threshold).mean()
        gains.append(rates[0] - rates[1])
        # One success and one failure are added, so that a rate of 0 or 1 has a variance.
        for rate, count in zip(rates, (len(inside), len(outside)), strict=True):
            smooth = (rate * count + 1) / (count + 2)
            variances.append(smooth * (1 - smooth) / count)
    return float(np.mean(gains)), float(NORMAL_95 * np.sqrt(sum(variances)) / 2)


def _best_threshold(members: np.ndarray, others: np.ndarray) -> float:
    candidates = np.unique(np.concatenate([members, others]))
    below = [
        np.searchsorted(np.sort(x), candidates, side="right") / len(x) for x in (members, others)
    ]
    return float(candidates[np.argmax(below[0] - below[1])])


def _upper(auc: float, m: int, n: int) -> float:
    """Upper limit by bisection: the largest area that the measured one does not refute."""
    low, high = auc, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if middle - auc > NORMAL_95 * _standard_error(middle, m, n):
            high = middle
        else:
            low = middle
    return high


def _standard_error(area: float, m: int, n: int) -> float:
    mean = (m + n) / 2 - 1
    odds = (1 - area) / (2 - area) + area / (1 + area)
    return float(np.sqrt(area * (1 - area) * (1 + mean * odds) / (m * n)))
