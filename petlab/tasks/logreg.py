"""Logistic regression by sums over records or on protected records, and its linear scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from petlab.algorithms.fixed_hessian import COEFFICIENT_MAX, fit_protected
from petlab.algorithms.linear import damping, nearest_positive
from petlab.algorithms.logistic import (
    Newton,
    gradient_terms,
    gram_norm,
    penalty,
    quadratic_terms,
    with_intercept,
)
from petlab.algorithms.membership import logistic_losses
from petlab.algorithms.scores import agreement, classifier_metrics, two_columns
from petlab.core.claims import Metric
from petlab.core.contribution import Contribution
from petlab.core.curves import sigmoid
from petlab.core.ops import Op
from petlab.core.party import ANALYST, SERVER
from petlab.core.plan import Plan, Public
from petlab.core.rows import symmetric
from petlab.core.session import Session
from petlab.core.settings import positive, setting
from petlab.core.task import Answer, Placement, Records, Task, program
from petlab.data.features import encode
from petlab.data.table import Table
from petlab.errors import UsageError

METHODS = ("newton", "gradient", "quadratic")

# log(1 / (1 + exp(u))) is about c - u / 2 - QUADRATIC u^2 for |u| <= 3 (Aono et al. 2016).
QUADRATIC = 0.0976419


@dataclass(frozen=True)
class Settings:
    """Settings of logistic regression."""

    method: str = setting("newton", "newton, gradient or quadratic (one round)")
    C: float = setting(1.0, "inverse L2 penalty, as in scikit-learn")
    iterations: int = setting(8, "most Newton or gradient steps")
    clip_share: float = setting(0.1, "clip a record's row to this share of its bound, under dp")
    rate: float = setting(4.0, "gradient steps: learning rate on the mean loss")
    outsourced_steps: int = setting(30, "accelerated steps of the outsourced program")

    def check(self) -> None:
        """Refuse values that make no sense.

        Raises
        ------
        UsageError
            With what to give instead.
        """
        positive(
            C=self.C,
            clip_share=self.clip_share,
            rate=self.rate,
            iterations=self.iterations,
            outsourced_steps=self.outsourced_steps,
        )
        if self.method not in METHODS:
            raise UsageError(f"unknown method {self.method!r}. Known: {', '.join(METHODS)}.")


def plan_fit(settings: Settings, public: Public) -> Plan:
    """One release per step."""
    size, outputs = len(public.features) + 1, _outputs(public)
    gram = size * (size + 1) // 2
    width = {
        "newton": (size + gram) * outputs,
        "gradient": size * outputs + 1,
        "quadratic": size * outputs + gram,
    }[settings.method]
    releases = 1 if settings.method == "quadratic" else settings.iterations
    shapes: dict[str, tuple[int, ...]] = {"statistics": (width,)}
    if settings.method == "newton":
        shapes |= {"means": (size,), "intercepts": (2, outputs)}
    return Plan(settings, public, releases=releases, shapes=shapes)


def plan_outsourced(settings: Settings, public: Public) -> Plan:
    """One release: the coefficients after the last step."""
    shapes = {"theta": (len(public.features) + 1, _outputs(public))}
    return Plan(settings, public, releases=1, public_size=True, shapes=shapes)


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
    requires={
        *(Op.SHARE, Op.STACK, Op.TRANSPOSE, Op.REVEAL),
        *(Op.ADD, Op.SCALE, Op.PLAIN_MATMUL, Op.MATMUL, Op.BOUNDED, Op.SIGMOID),
    },
    plan=plan_outsourced,
)
def outsourced(session: Session, plan: Plan) -> Answer:
    """Fit on protected records of all owners together; the coefficients alone are opened."""
    theta = fit_protected(
        session.share_all(lambda shard: with_intercept(shard["features"]), label="records"),
        session.share_all("labels", label="records"),
        C=plan.settings.C,
        norm=_norm(plan.public),
        steps=plan.settings.outsourced_steps,
    )
    return Answer({"theta": session.reveal(theta, to=ANALYST)})


@program(
    requires={Op.SHARE, Op.PLAIN_MATMUL, Op.ADD, Op.REVEAL},
    plan=plan_score,
    placement=Placement.SCORING,
)
def score(session: Session, plan: Plan) -> Answer:
    """Apply the server's model to protected records; the analyst reads linear scores."""
    records = session.share("features", owner="owner-1", label="records", layout="columns")
    weights = session.local("weights", at=SERVER, bound=COEFFICIENT_MAX)
    intercept = session.local("intercept", at=SERVER, bound=COEFFICIENT_MAX)
    return Answer({"scores": session.reveal(records @ weights + intercept, to=ANALYST)})


def _newton(session: Session, plan: Plan) -> Answer:
    settings = plan.settings
    newton = Newton(
        session,
        features=len(plan.public.features),
        outputs=_outputs(plan.public),
        norm=plan.public.feature_norm,
        C=settings.C,
        iterations=settings.iterations,
        clip_share=settings.clip_share,
    )
    converged = newton.fit()
    notes = () if converged else (f"stopped at {settings.iterations} steps, unconverged.",)
    return Answer({"theta": newton.theta}, notes)


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
    ridge = penalty(size, plan.settings.C)[:, None]
    for step in range(plan.settings.iterations):
        total = session.sum(contribution, {"theta": ahead}, to=ANALYST)
        count = max(1.0, float(total.value[-1]))
        gradient = (total.value[:-1].reshape(size, outputs) - ridge * ahead) / count
        moved = ahead + plan.settings.rate * gradient / norm**2
        ahead = moved + step / (step + 3) * (moved - theta)
        theta = moved
    return Answer({"theta": theta})


def _quadratic(session: Session, plan: Plan) -> Answer:
    """Ridge regression on +-1 labels: the quadratic surrogate of Aono et al."""
    size, outputs = len(plan.public.features) + 1, _outputs(plan.public)
    norm = _norm(plan.public)
    largest = gram_norm(norm)
    scale = largest / norm
    contribution = Contribution(
        fn=quadratic_terms,
        shape=plan.shapes["statistics"],
        unit_norm=float(plan.settings.clip_share * np.sqrt(outputs + 1) * largest),
        coordinate_max=max(1.0, scale),
    )
    total = session.sum(contribution, {"gradient_scale": np.array(scale)}, to=ANALYST)
    cut = size * outputs
    linear = total.value[:cut].reshape(size, outputs) / scale
    gram = symmetric(total.value[cut:], size)
    if total.noise is not None:
        gram = nearest_positive(gram) + damping(total.noise, size)
    matrix = 2 * QUADRATIC * gram + np.diag(penalty(size, plan.settings.C))
    theta = np.linalg.solve(matrix, 0.5 * linear)
    return Answer({"theta": theta}, ("quadratic surrogate: probabilities are not calibrated.",))


def _norm(public: Public) -> float:
    """Bound on the norm of a record with its intercept."""
    return float(np.sqrt(public.feature_norm**2 + 1))


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
    programs = {"sums": sums, "outsourced": outsourced, "score": score}  # noqa: RUF012

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

    def losses(self, answer: Answer, records: Records, settings: Settings) -> np.ndarray | None:
        """Logistic loss, if the coefficients are released."""
        if "theta" not in answer.values:
            return None
        scores = with_intercept(records["features"]) @ answer["theta"]
        return logistic_losses(scores, records["labels"])


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
