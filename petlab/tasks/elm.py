"""Extreme learning machine: random hidden units, exact ridge regression on their outputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from petlab.algorithms.linear import nearest_positive, noise_floor, solve_protected
from petlab.algorithms.scores import agreement, classifier_metrics, two_columns
from petlab.core.claims import Metric
from petlab.core.contribution import Contribution, Noise, State
from petlab.core.curves import sigmoid, softmax
from petlab.core.ops import Op
from petlab.core.party import ANALYST, Memory, Shard
from petlab.core.plan import Plan, Public
from petlab.core.rows import Gram, Outer, Rows, Stack, symmetric
from petlab.core.session import Session
from petlab.core.settings import positive, setting
from petlab.core.task import Answer, Records, Task, program
from petlab.data.features import encode
from petlab.data.table import Table
from petlab.errors import UsageError

HIDDEN_MAX = 10_000
FEWEST_RECORDS = 10
"""An owner with fewer is refused: the Gram matrix of a few records shows them."""


@dataclass(frozen=True)
class Settings:
    """Settings of the extreme learning machine."""

    hidden: int = setting(50, "hidden units")
    C: float = setting(1.0, "inverse ridge: larger fits closer")
    clip_share: float = setting(0.3, "clip a record's row to this share of its bound, under dp")
    condition_limit: float = setting(1e6, "past this condition number the result says so")

    def check(self) -> None:
        """Refuse values that make no sense.

        Raises
        ------
        UsageError
            With what to give instead.
        """
        positive(C=self.C, clip_share=self.clip_share, condition_limit=self.condition_limit)
        if not 1 <= self.hidden <= HIDDEN_MAX:
            raise UsageError(f"hidden lies between 1 and {HIDDEN_MAX}.")


def plan_gram(settings: Settings, public: Public) -> Plan:
    """One release: upper triangle of G and all of r, in one vector."""
    size = settings.hidden * (settings.hidden + 1) // 2 + settings.hidden * _outputs(public)
    return Plan(settings, public, releases=1, shapes={"statistics": (size,)})


def plan_outsourced(settings: Settings, public: Public) -> Plan:
    """One release: the output weights."""
    shapes = {"beta": (settings.hidden, _outputs(public))}
    return Plan(settings, public, releases=1, public_size=True, shapes=shapes)


def hidden_layer(features: np.ndarray, hidden: int, seed: int) -> np.ndarray:
    """Sigmoid outputs of random units; shape (rows, hidden). Weights are public: U[-1, 1]."""
    rng = np.random.default_rng([seed, 3])
    weights = rng.uniform(-1, 1, (features.shape[1], hidden))
    return sigmoid(features @ weights + rng.uniform(-1, 1, hidden))


def statistics(state: State, shard: Shard, memory: Memory) -> Rows:
    """H h' (upper triangle) and h t' of each record, the latter times the target scale."""
    h = hidden_layer(shard["features"], int(state["hidden"]), int(state["seed"]))
    return Stack(Gram(h), Outer(h, shard["signs"] * state["target_scale"]))


@program(requires={Op.SUM}, plan=plan_gram)
def sums(session: Session, plan: Plan) -> Answer:
    """Solve for the output weights from two sums over the owners' records.

    G = sum h h' and r = sum h t'; the analyst solves (I/C + G) beta = r.
    """
    settings, outputs = plan.settings, _outputs(plan.public)
    size = settings.hidden
    # h lies in (0, 1)^L, so |upper(h h')|^2 <= L (L + 1) / 2 and |h t'|^2 <= L m. Both
    # parts get the same largest norm, so that one noise scale suits both.
    gram_norm = float(np.sqrt(size * (size + 1) / 2))
    scale = gram_norm / float(np.sqrt(size * outputs))
    contribution = Contribution(
        fn=statistics,
        shape=plan.shapes["statistics"],
        unit_norm=float(settings.clip_share * np.sqrt(2) * gram_norm),
        coordinate_max=max(1.0, scale),
        min_units=FEWEST_RECORDS,
    )
    state = {"hidden": np.array(size), "seed": np.array(session.seed)}
    state["target_scale"] = np.array(scale)
    total = session.sum(contribution, state, to=ANALYST)
    cut = size * (size + 1) // 2
    gram, r = symmetric(total.value[:cut], size), total.value[cut:].reshape(size, outputs) / scale
    beta, condition = solve(gram, r, settings.C, total.noise)
    return Answer({"beta": beta, "condition": np.array(condition)}, _notes(condition, settings))


@program(
    requires={
        *(Op.SHARE, Op.STACK, Op.TRANSPOSE, Op.REVEAL),
        *(Op.ADD, Op.SCALE, Op.PLAIN_MATMUL, Op.MATMUL, Op.BOUNDED),
    },
    plan=plan_outsourced,
)
def outsourced(session: Session, plan: Plan) -> Answer:
    """Solve for the output weights on protected hidden outputs; nothing else is opened.

    Owners pass their records through the hidden layer, which is public, by themselves.
    """
    settings = plan.settings
    h = session.share_all(
        lambda shard: hidden_layer(shard["features"], settings.hidden, session.seed),
        label="records",
    )
    targets = session.share_all("signs", label="records")
    low = 1 / settings.C
    # The trace bounds the largest eigenvalue, and no hidden output exceeds one.
    high = low + h.shape[0] * settings.hidden
    matrix = h.T @ h + low * np.eye(settings.hidden)
    beta = solve_protected(matrix, h.T @ targets, low=low, high=high)
    notes = _notes(high / low, settings, verb="may be")
    return Answer({"beta": session.reveal(beta, to=ANALYST)}, notes)


def solve(
    gram: np.ndarray, r: np.ndarray, C: float, noise: Noise | None
) -> tuple[np.ndarray, float]:
    """Ridge solution and the condition number of its matrix.

    Statistics that carry noise are made positive and damped by the size of the noise's eigenvalues.
    """
    matrix = gram if noise is None else nearest_positive(gram)
    matrix = matrix + np.eye(len(gram)) * (1 / C + noise_floor(noise, len(gram)))
    return np.linalg.solve(matrix, r), float(np.linalg.cond(matrix))


def _notes(condition: float, settings: Settings, *, verb: str = "is") -> tuple[str, ...]:
    if condition <= settings.condition_limit:
        return ()
    return (
        f"condition number {verb} {condition:.1e}, over the limit {settings.condition_limit:.0e}: "
        "beta is not determined to six digits. Lower C or the number of hidden units.",
    )


def _outputs(public: Public) -> int:
    return 1 if public.classes == 2 else public.classes


class ExtremeLearningMachine(Task):
    """Classify with a network whose hidden layer is random and never trained.

    References
    ----------
    .. [1] Huang, Zhu, Siew, Extreme learning machine, Neurocomputing 70, 2006.
    """

    name = "elm"
    title = "Extreme learning machine"
    settings = Settings
    programs = {"sums": sums, "outsourced": outsourced}  # noqa: RUF012

    def encode(self, table: Table, settings: Settings) -> Records:
        """Scaled features and +-1 targets, one column per class when there are several."""
        features = encode(table)
        classes = len(table.card.classes)
        signs = 2 * np.eye(classes)[table.target] - 1
        arrays = {
            "features": features.matrix,
            "signs": signs[:, 1:] if classes == 2 else signs,
        }
        public = Public(features.names, features.norm, classes)
        return Records(arrays, public, table.target)

    def reference(self, program: str, train: Records, test: Records, settings: Settings) -> Answer:
        """Ridge regression on the same random features, pooled, by scikit-learn's SVD."""
        from sklearn.linear_model import Ridge

        h = hidden_layer(train["features"], settings.hidden, train.seed)
        ridge = Ridge(alpha=1 / settings.C, fit_intercept=False, solver="svd")
        beta = ridge.fit(h, train["signs"]).coef_.reshape(-1, settings.hidden).T
        return Answer({"beta": beta})

    def score(
        self, answer: Answer, reference: Answer, test: Records, settings: Settings
    ) -> dict[str, Metric]:
        """Scores on test records, and the distance of beta from the exact one."""
        h = hidden_layer(test["features"], settings.hidden, test.seed)
        ours = _probabilities(h @ answer["beta"])
        exact = _probabilities(h @ reference["beta"])
        distance = np.linalg.norm(answer["beta"] - reference["beta"])
        error = float(distance / np.linalg.norm(reference["beta"]))
        return {
            **classifier_metrics(ours, exact, test.labels),
            "beta_rel_error": Metric(error, 0.0, "lower"),
            "prediction_agreement": agreement(ours, exact),
        }

    def losses(self, answer: Answer, records: Records, settings: Settings) -> np.ndarray | None:
        """Squared error, which the output weights were fitted to."""
        h = hidden_layer(records["features"], settings.hidden, records.seed)
        return np.asarray(((h @ answer["beta"] - records["signs"]) ** 2).sum(1))


def _probabilities(outputs: np.ndarray) -> np.ndarray:
    """Outputs near +-1 as probabilities: monotone, so that ranks and decisions stay."""
    if outputs.shape[1] == 1:
        return two_columns(sigmoid(2 * outputs[:, 0]))
    return softmax(2 * outputs)
