"""Randomised voting (PATE): teachers vote with noise, a student learns from the votes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from page import Page, percent, table

from petlab.data.dataset import find_dataset
from petlab.data.features import encode
from petlab.metering.accountant import gaussian_multiplier
from petlab.running.evaluator import evaluate
from petlab.running.result import Cell
from petlab.techniques.dp.noise import NoiseStream

TEACHERS = 250
QUESTIONS = 500
EPSILONS = (1.0, 3.0, 8.0)
DELTA = 1e-5
TEST, POOL = 6_000, 3_000
REPEATS = 20
SEED = 5


@dataclass(frozen=True)
class Split:
    """Features and labels of the three parts of the table, scaled by public ranges."""

    private_x: np.ndarray
    private_y: np.ndarray
    pool_x: np.ndarray
    pool_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray


@dataclass(frozen=True)
class Student:
    """A student at one epsilon, over repeats of the votes' noise.

    Attributes
    ----------
    deviation
        Standard deviation of the noise on a vote count.
    votes_right
        Share of the noisy votes that give what the teachers' exact vote would.
    balanced, spread
        Mean balanced accuracy on the test records, and its standard deviation.
    area
        Mean area under the ROC curve.
    """

    epsilon: float
    deviation: float
    votes_right: float
    balanced: float
    spread: float
    area: float


@cache
def split() -> Split:
    """30,000 credit card clients: private records, public questions, test."""
    loaded = find_dataset("taiwan_default").load()
    x, y = encode(loaded).matrix, loaded.target
    order = np.random.default_rng(SEED).permutation(len(y))
    test, pool, private = np.split(order, [TEST, TEST + POOL])
    return Split(x[private], y[private], x[pool], y[pool], x[test], y[test])


def fit(x: np.ndarray, y: np.ndarray) -> Any:
    """Logistic regression that weighs both classes alike."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(class_weight="balanced", max_iter=500).fit(x, y)


def taught(x: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Scores of the test records, positive for "default", by a student of (noisy) vote counts.

    A count says more than its majority does, and using it costs nothing more: it is what
    was released.
    """
    from sklearn.linear_model import Ridge

    return Ridge(alpha=1.0).fit(x, counts / TEACHERS - 0.5).predict(split().test_x)


def balanced_accuracy(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Mean of the shares of each class that are recognised."""
    return float(np.mean([(predicted[truth == k] == k).mean() for k in (0, 1)]))


@cache
def teachers() -> tuple[Any, ...]:
    """One model for each part of the private records; every record is in one part only.

    A record's part is drawn by itself, so that adding a record leaves all others where they
    are and changes one teacher.
    """
    data = split()
    part = np.random.default_rng(SEED + 1).integers(0, TEACHERS, len(data.private_y))
    return tuple(fit(data.private_x[part == k], data.private_y[part == k]) for k in range(TEACHERS))


def votes(x: np.ndarray) -> np.ndarray:
    """How many teachers say "default" of each record."""
    return np.sum([teacher.predict(x) for teacher in teachers()], axis=0).astype(float)


def student(epsilon: float, *, repeats: int = REPEATS) -> Student:
    """Train students on noisy votes.

    A record changes one teacher and so each count by at most one; all counts together are
    `QUESTIONS` Gaussian releases of sensitivity one, composed exactly
    (petlab/metering/accountant.py). This is the data-independent bound of Papernot et al.,
    Scalable Private Learning with PATE, ICLR 2018; for two classes one count is all there is
    to release.
    """
    from sklearn.metrics import roc_auc_score

    data, stream = split(), NoiseStream(insecure_seed=SEED)
    deviation = gaussian_multiplier(epsilon, DELTA, releases=QUESTIONS)
    asked, exact = data.pool_x[:QUESTIONS], votes(data.pool_x[:QUESTIONS])
    agreed, scores, areas = [], [], []
    for _ in range(repeats):
        counts = exact + stream.gaussian(deviation, QUESTIONS)
        agreed.append(np.mean((counts > TEACHERS / 2) == (exact > TEACHERS / 2)))
        said = taught(asked, counts)
        scores.append(balanced_accuracy(said > 0, data.test_y))
        areas.append(roc_auc_score(data.test_y, said))
    means = [float(np.mean(values)) for values in (agreed, scores, areas)]
    return Student(epsilon, deviation, means[0], means[1], float(np.std(scores)), means[2])


@cache
def references() -> dict[str, float]:
    """Balanced accuracies without any noise."""
    data = split()
    asked = data.pool_x[:QUESTIONS]
    majority = votes(data.test_x) > TEACHERS / 2
    alone = [balanced_accuracy(t.predict(data.test_x), data.test_y) for t in teachers()]
    found = {
        "one model on all private records": fit(data.private_x, data.private_y).predict(
            data.test_x
        ),
        f"exact vote of all {TEACHERS} teachers": majority,
        f"student of {QUESTIONS} exact vote counts": taught(asked, votes(asked)) > 0,
    }
    scores = {name: balanced_accuracy(said, data.test_y) for name, said in found.items()}
    return {**scores, "one teacher by itself (mean)": float(np.mean(alone))}


def direct(epsilon: float) -> tuple[float, float]:
    """Area under the curve of petlab's `logreg` under `dp`, and without noise."""
    settings = {"epsilon": epsilon, "delta": DELTA, "insecure_seed": SEED}
    result = evaluate(
        Cell("logreg", technique="dp", dataset="taiwan_default", seed=SEED, settings=settings)
    )
    metric = result.quality["auc"]
    assert metric.value is not None and metric.reference is not None
    return metric.value, metric.reference


def page() -> Page:
    """Predict whether a credit card client misses the next payment."""
    data, known = split(), references()
    students = [student(epsilon) for epsilon in EPSILONS]
    without = [[name, "–", "–", f"{score:.3f}"] for name, score in known.items()]
    noisy = [
        [
            f"student at epsilon {s.epsilon:g}",
            f"{s.deviation:.0f}",
            percent(s.votes_right),
            f"{s.balanced:.3f} ± {s.spread:.3f}",
        ]
        for s in students
    ]
    header = [
        *("model", "deviation of the noise, votes"),
        *("votes that noise leaves right", "balanced accuracy"),
    ]
    ranked, exact_ranked = direct(EPSILONS[0])
    pooled = known["one model on all private records"]
    alone = known["one teacher by itself (mean)"]
    body = f"""
Private aggregation of teacher ensembles (PATE; Papernot et al., ICLR 2017 and 2018):

1. {len(data.private_y):,} clients of `taiwan_default` are dealt to **{TEACHERS} teachers**, about
   {len(data.private_y) // TEACHERS} records each; each teacher fits a logistic regression.
2. **{QUESTIONS} clients without labels**, taken to be public, are put to the teachers. Of each
   question only the number of teachers that vote "will default" is released, **with noise**.
3. A **student** learns from those noisy counts alone. Only the student is published.

One client is in one teacher's records, so moves each count by at most one. All {QUESTIONS} counts
are Gaussian releases that compose exactly; epsilon at delta {DELTA:g} is that of all of them
together, computed without looking at the votes (a bound that looks at how clear the votes were
would be smaller, and would have to be released with noise itself).

Balanced accuracy on {len(data.test_y):,} other clients (0.5 is guessing; {REPEATS} repeats of the
noise, ± one standard deviation):

{table(header, without + noisy)}

It works at this size: at epsilon 1 the student is {pooled - students[0].balanced:.3f} below a
model that saw everything, and above a single teacher ({alone:.3f}), although noise overturns
{percent(1 - students[0].votes_right)} of the votes: a linear student averages {QUESTIONS} counts,
and the noise with them. What the comparison should not hide:

- All models on this page are weak: linear models tell little about the next payment from these
  columns. A small loss is easy where little can be lost.
- It takes many records. With {TEACHERS} teachers on a few thousand records each teacher would know
  next to nothing.
- It takes public questions from the same population, and the curator who trains the teachers sees
  every record.
- Linear models need no teachers. petlab's own `logreg` under `dp` at epsilon {EPSILONS[0]:g} adds
  noise to Newton's sums and ranks clients with an area under the curve of {ranked:.3f} (on its own
  split of this table, {exact_ranked:.3f} without noise), where this page's student at that epsilon
  reaches {students[0].area:.3f}. PATE is for models that cannot be clipped and noised in training.
"""
    return Page(
        "voting",
        "Randomised voting of teachers (PATE)",
        "Can models that saw private records teach a public one without giving a record away?",
        "If hundreds of models, each trained on different people, vote with noise, no single "
        "person can tip the votes, and a student who sees only those votes cannot give one away.",
        body,
        lambda axes: _draw(axes, students, known),
    )


def _draw(axes: Any, students: list[Student], known: dict[str, float]) -> None:
    axes.errorbar(
        [s.epsilon for s in students],
        [s.balanced for s in students],
        [s.spread for s in students],
        marker="o",
        capsize=3,
        label="student",
    )
    for (name, score), style in zip(known.items(), ("-", "--", ":", "-."), strict=True):
        axes.axhline(score, color="0.5", linewidth=0.8, linestyle=style, label=name)
    axes.set(xscale="log", xlabel="epsilon", ylabel="balanced accuracy")
    axes.set_xticks([s.epsilon for s in students], [f"{s.epsilon:g}" for s in students])
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=7)
