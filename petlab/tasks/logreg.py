"""Logistic regression by sums over records, and its linear scores on protected records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from petlab.contribution import Contribution, Noise
from petlab.errors import UsageError
from petlab.features import encode
from petlab.logistic import (
    gradient_terms,
    intercept_terms,
    newton_terms,
    quadratic_terms,
    with_intercept,
)
from petlab.ops import Op
from petlab.party import ANALYST, SERVER
from petlab.plan import Plan, Public
from petlab.result import Metric
from petlab.rows import symmetric
from petlab.scores import agreement, classifier_metrics, sigmoid, two_columns
from petlab.session import Session
from petlab.solve import nearest_positive, noise_floor
from petlab.table import Table
from petlab.task import Answer, Placement, Records, Task, program, setting

METHODS = ("newton", "gradient", "quadratic")

# log(1 / (1 + exp(u))) is about c - u / 2 - QUADRATIC u^2 for |u| <= 3 (Aono et al. 2016).
QUADRATIC = 0.0976419


@dataclass(frozen=True)
class Settings:
    """Settings of logistic regression."""

    method: str = setting("newton", "newton, gradient or quadratic (one round)")
    C: float = setting(1.0, "inverse L2 penalty, as in scikit-learn")
    iterations: int = setting(8, "most Newton or gradient steps")
    clip_share: float = setting(0.15, "clip a record's row to this share of its bound, under dp")
    rate: float = setting(4.0, "gradient steps: learning rate on the mean loss")


def plan_fit(settings: Settings, public: Public) -> Plan:
    """One release per step."""
    if settings.method not in METHODS:
        raise UsageError(f"unknown method {settings.method!r}. Known: {', '.join(METHODS)}.")
    size, outputs = len(public.features) + 1, _outputs(public)
    gram = size * (size + 1) // 2
    width = {
        "newton": (size + gram) * outputs,
        "gradient": size * outputs + 1,
        "quadratic": size * outputs + gram,
    }[settings.method]
    releases = 1 if settings.method == "quadratic" else settings.iterations
    shapes = {"statistics": (width,), "intercepts": (2, outputs)}
    return Plan(settings, public, releases=releases, shapes=shapes)


def plan_score(settings: Settings, public: Public) -> Plan:
    """One product, and the scores of all records released."""
    shapes = {"scores": (public.levels["scored"], _outputs(public))}
    return Plan(settings, public, releases=1, depth=1, value_max=1.0, shapes=shapes)


@program(requires={Op.SUM}, plan=plan_fit)
def sums(session: Session, plan: Plan) -> Answer:
    """Fit from sums over the owners' records; the analyst takes the steps."""
    fit = {"newton": _newton, "gradient": _gradient, "quadratic": _quadratic}
    return fit[plan.settings.method](session, plan)


@program(
    requires={Op.SHARE, Op.PLAIN_MATMUL, Op.ADD, Op.REVEAL},
    plan=plan_score,
    placement=Placement.SCORING,
)
def score(session: Session, plan: Plan) -> Answer:
    """Apply the server's model to protected records; the analyst reads linear scores."""
    records = session.share("features", owner="owner-1", label="records", layout="columns")
    weights = session.local("weights", at=SERVER)
    intercept = session.local("intercept", at=SERVER)
    return Answer({"scores": session.reveal(records @ weights + intercept, to=ANALYST)})


def _newton(session: Session, plan: Plan) -> Answer:
    size, outputs = len(plan.public.features) + 1, _outputs(plan.public)
    norm = _norm(plan.public)
    # Both parts get the same largest norm, so that one noise scale suits both.
    hessian_norm = _gram_norm(norm) / 4
    scale = hessian_norm / norm
    contribution = Contribution(
        fn=newton_terms,
        shape=plan.shapes["statistics"],
        unit_norm=float(plan.settings.clip_share * np.sqrt(2 * outputs) * hessian_norm),
        coordinate_max=max(1.0, scale),
    )
    theta = np.zeros((size, outputs))
    notes: tuple[str, ...] = (f"stopped at {plan.settings.iterations} steps, unconverged.",)
    for step_number in range(plan.settings.iterations):
        state = {"theta": theta, "gradient_scale": np.array(scale)}
        total = session.sum(contribution, state, to=ANALYST)
        blocks = total.value.reshape(outputs, -1)
        step = np.column_stack(
            [
                _newton_step(blocks[k], theta[:, k], plan.settings.C, scale, total.noise)
                for k in range(outputs)
            ]
        )
        theta = theta + step
        if total.noise is None and np.abs(step).max() < 1e-9 * max(1.0, np.abs(theta).max()):
            notes = ()
            break
        if total.noise and step_number + 1 == plan.settings.iterations * 3 // 4:
            # Noise on many coefficients at once moves the decision threshold. The last
            # releases go to the intercepts alone, whose rows are short.
            return Answer({"theta": _calibrated(session, plan, theta)})
    return Answer({"theta": theta}, () if total.noise else notes)


def _calibrated(session: Session, plan: Plan, theta: np.ndarray) -> np.ndarray:
    """Newton steps on the intercepts with the releases that are left."""
    outputs = theta.shape[1]
    contribution = Contribution(
        fn=intercept_terms,
        shape=(2, outputs),
        unit_norm=float(np.sqrt(outputs * (1 + 1 / 16))),
        coordinate_max=1.0,
    )
    iterations = plan.settings.iterations
    for _ in range(iterations - iterations * 3 // 4):
        total = session.sum(contribution, {"theta": theta}, to=ANALYST)
        damping = total.noise.deviation if total.noise else 0.0
        slope, curvature = total.value
        theta = theta.copy()
        theta[0] += slope / (np.maximum(curvature, 0.0) + damping)
    return theta


def _newton_step(
    block: np.ndarray, theta: np.ndarray, C: float, scale: float, noise: Noise | None
) -> np.ndarray:
    size = len(theta)
    gradient, hessian = block[:size] / scale, symmetric(block[size:], size)
    penalty = _penalty(size, C)
    if noise is not None:
        # Damping by the size of the noise's eigenvalues: a Levenberg step, not a wild one.
        hessian = nearest_positive(hessian) + _damping(noise, size)
    return np.linalg.solve(hessian + np.diag(penalty), gradient - penalty * theta)


def _gradient(session: Session, plan: Plan) -> Answer:
    """Nesterov's accelerated gradient descent on the mean loss."""
    size, outputs = len(plan.public.features) + 1, _outputs(plan.public)
    norm = _norm(plan.public)
    contribution = Contribution(
        fn=gradient_terms,
        shape=plan.shapes["statistics"],
        unit_norm=float(plan.settings.clip_share * np.sqrt(outputs * norm**2 + 1)),
        coordinate_max=1.0,
    )
    theta = ahead = np.zeros((size, outputs))
    penalty = _penalty(size, plan.settings.C)[:, None]
    for step in range(plan.settings.iterations):
        total = session.sum(contribution, {"theta": ahead}, to=ANALYST)
        count = max(1.0, float(total.value[-1]))
        gradient = (total.value[:-1].reshape(size, outputs) - penalty * ahead) / count
        moved = ahead + plan.settings.rate * gradient / norm**2
        ahead = moved + step / (step + 3) * (moved - theta)
        theta = moved
    return Answer({"theta": theta})


def _quadratic(session: Session, plan: Plan) -> Answer:
    """Ridge regression on +-1 labels: the quadratic surrogate of Aono et al."""
    size, outputs = len(plan.public.features) + 1, _outputs(plan.public)
    norm = _norm(plan.public)
    gram_norm = _gram_norm(norm)
    scale = gram_norm / norm
    contribution = Contribution(
        fn=quadratic_terms,
        shape=plan.shapes["statistics"],
        unit_norm=float(plan.settings.clip_share * np.sqrt(outputs + 1) * gram_norm),
        coordinate_max=max(1.0, scale),
    )
    total = session.sum(contribution, {"gradient_scale": np.array(scale)}, to=ANALYST)
    cut = size * outputs
    linear = total.value[:cut].reshape(size, outputs) / scale
    gram = symmetric(total.value[cut:], size)
    if total.noise is not None:
        gram = nearest_positive(gram) + _damping(total.noise, size)
    matrix = 2 * QUADRATIC * gram + np.diag(_penalty(size, plan.settings.C))
    theta = np.linalg.solve(matrix, 0.5 * linear)
    return Answer({"theta": theta}, ("quadratic surrogate: probabilities are not calibrated.",))


def _penalty(size: int, C: float) -> np.ndarray:
    # scikit-learn does not penalise the intercept; a trace keeps the Hessian regular.
    return np.r_[1e-10, np.full(size - 1, 1 / C)]


def _damping(noise: Noise, size: int) -> np.ndarray:
    # The intercept is left alone: shrinking it would move the decision threshold.
    return noise_floor(noise, size) * np.diag(np.r_[0.0, np.ones(size - 1)])


def _norm(public: Public) -> float:
    """Bound on the norm of a record with its intercept."""
    return float(np.sqrt(public.feature_norm**2 + 1))


def _gram_norm(norm: float) -> float:
    """Bound on the upper triangle of x x' when |x| <= norm and no entry exceeds one."""
    return float(np.sqrt((norm**4 + norm**2) / 2))


def _outputs(public: Public) -> int:
    return 1 if public.classes == 2 else public.classes


class LogisticRegression(Task):
    """Estimate how surely each record belongs to the class.

    References
    ----------
    .. [1] Aono, Hayashi, Phong, Wang, Scalable and Secure Logistic Regression via
       Homomorphic Encryption, CODASPY 2016 (quadratic statistics).
    """

    name = "logreg"
    title = "Logistic regression"
    settings = Settings
    programs = {"sums": sums, "score": score}  # noqa: RUF012

    def encode(self, table: Table, settings: Settings) -> Records:
        """Scaled features and 0/1 labels; one against the rest for several classes."""
        features, classes = encode(table), len(table.card.classes)
        labels = np.eye(classes)[table.target]
        arrays = {
            "features": features.matrix,
            "labels": labels[:, 1:] if classes == 2 else labels,
        }
        return Records(arrays, Public(features.names, features.norm, classes), table.target)

    def model(self, train: Records, settings: Settings) -> dict[str, np.ndarray]:
        """Weights of scikit-learn's fit."""
        theta = _fit(train, settings)
        return {"weights": theta[1:], "intercept": theta[0]}

    def reference(self, program: str, train: Records, test: Records, settings: Settings) -> Answer:
        """scikit-learn on pooled records."""
        theta = _fit(train, settings)
        return Answer({"scores": with_intercept(test["features"]) @ theta, "theta": theta})

    def score(
        self, answer: Answer, reference: Answer, test: Records, settings: Settings
    ) -> dict[str, Metric]:
        """Scores on test records beside scikit-learn's."""
        exact = _probabilities(reference["scores"])
        if "theta" in answer.values:
            ours = _probabilities(with_intercept(test["features"]) @ answer["theta"])
            distance = np.linalg.norm(answer["theta"] - reference["theta"])
            error = float(distance / np.linalg.norm(reference["theta"]))
            extra = {"beta_rel_error": Metric(error, 0.0, "lower")}
        else:
            ours = _probabilities(answer["scores"])
            worst = float(np.abs(answer["scores"] - reference["scores"]).max())
            extra = {"score_max_error": Metric(worst, 0.0, "lower")}
        return {
            **classifier_metrics(ours, exact, test.labels),
            "prediction_agreement": agreement(ours, exact),
            **extra,
        }


def _fit(train: Records, settings: Settings) -> np.ndarray:
    """Pooled scikit-learn fit, one against the rest; shape (features + 1, outputs)."""
    from sklearn.linear_model import LogisticRegression as Reference

    columns: list[Any] = []
    for labels in train["labels"].T:
        model = Reference(C=settings.C, max_iter=10_000, tol=1e-8)
        model.fit(train["features"], labels.astype(int))
        columns.append(np.r_[model.intercept_, model.coef_[0]])
    return np.column_stack(columns)


def _probabilities(scores: np.ndarray) -> np.ndarray:
    if scores.shape[1] == 1:
        return two_columns(sigmoid(scores[:, 0]))
    shares = sigmoid(scores)
    return shares / shares.sum(1, keepdims=True)
