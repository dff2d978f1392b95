"""A multilayer perceptron: trained from sums, by federated averaging, or on protected records."""

from __future__ import annotations

import itertools

import numpy as np

from petlab.algorithms.membership import softmax_losses
from petlab.algorithms.perceptron.network import (
    initial_parameters,
    layers,
    outputs,
    parameter_count,
)
from petlab.algorithms.perceptron.protected import (
    WEIGHT_MAX,
    ProtectedOptimizer,
    layer_matrices,
    train_protected,
)
from petlab.algorithms.perceptron.reference import fit_with_torch
from petlab.algorithms.perceptron.settings import Settings
from petlab.algorithms.perceptron.sums import Optimizer, gradient, local_training, network_state
from petlab.algorithms.scores import agreement, classifier_metrics
from petlab.core.batches import batch, steps_per_epoch
from petlab.core.claims import Metric
from petlab.core.contribution import Contribution, State
from petlab.core.curves import softmax
from petlab.core.ops import Op
from petlab.core.party import ANALYST, SERVER
from petlab.core.plan import Plan, Public
from petlab.core.session import Session
from petlab.core.task import Answer, Placement, Records, Task, program
from petlab.data.features import encode
from petlab.data.table import Table
from petlab.errors import UsageError

GRADIENT_MAX = 64.0
"""Public bound on a coordinate of one example's gradient."""


def plan_fit(settings: Settings, public: Public) -> Plan:
    """One release per step or federated round."""
    settings.check()
    if settings.model == "cnn" and public.image is None:
        raise UsageError("model=cnn needs data whose card says image = [height, width].")
    width = parameter_count(_sizes(settings, public), _image(settings, public))
    shapes = {"gradient": (width,), "weights": (width + 1,)}
    fedavg, steps = settings.method == "fedavg", steps_per_epoch(settings.batch)
    return Plan(
        settings,
        public,
        releases=settings.epochs * (1 if fedavg else steps),
        local_steps=steps if fedavg else 0,
        sample_rate=settings.batch,
        public_size=True,
        shapes=shapes,
    )


def plan_outsourced(settings: Settings, public: Public) -> Plan:
    """The trained layers, one matrix each, and nothing before them."""
    settings.check()
    if settings.model != "mlp" or settings.method != "gradient":
        raise UsageError(
            "deep/outsourced trains perceptrons by gradients: --set model=mlp method=gradient."
        )
    pairs = itertools.pairwise(_sizes(settings, public))
    shapes = {f"layer{k}": (a + 1, b) for k, (a, b) in enumerate(pairs)}
    return Plan(
        settings,
        public,
        releases=len(shapes),
        sample_rate=settings.batch,
        public_size=True,
        shapes=shapes,
    )


def plan_score(settings: Settings, public: Public) -> Plan:
    """Two products and a square in a row; the scores of all records released."""
    settings.check()
    if settings.activation != "square" or settings.model != "mlp":
        raise UsageError(
            "deep/score computes on protected records: --set activation=square model=mlp."
        )
    hidden = len(_sizes(settings, public)) - 2
    shapes = {"scores": (public.levels["scored"], public.classes)}
    return Plan(settings, public, releases=1, depth=1 + 2 * hidden, shapes=shapes)


@program(requires={Op.SUM, Op.SAMPLE}, plan=plan_fit)
def sums(session: Session, plan: Plan) -> Answer:
    """Train from summed gradients, or average weights that owners trained locally."""
    sizes, image = _sizes(plan.settings, plan.public), _image(plan.settings, plan.public)
    weights = initial_parameters(sizes, seed=session.seed, image=image)
    train = _average if plan.settings.method == "fedavg" else _descend
    return Answer({"weights": train(session, plan, weights)})


@program(
    requires={
        *(Op.SHARE, Op.STACK, Op.TAKE, Op.TRANSPOSE, Op.TOTAL, Op.REVEAL),
        *(Op.ADD, Op.SCALE, Op.MULTIPLY, Op.SQUARE, Op.PLAIN_MATMUL, Op.MATMUL),
        *(Op.BOUNDED, Op.COMPARE, Op.SIGMOID, Op.SOFTMAX, Op.INV_SQRT),
    },
    plan=plan_outsourced,
)
def outsourced(session: Session, plan: Plan) -> Answer:
    """Train on protected records of all owners together; the final weights alone are opened."""
    settings, sizes = plan.settings, _sizes(plan.settings, plan.public)
    one_hot, share = np.eye(sizes[-1]), settings.batch
    x = session.share_all("features", label="records")
    targets = session.share_all(lambda shard: one_hot[shard["classes"]], label="records")
    start = layer_matrices(initial_parameters(sizes, seed=session.seed), sizes)
    optimizer = ProtectedOptimizer(settings.optimizer, settings.learning_rate, start)
    steps = range(settings.epochs * steps_per_epoch(share))
    batches = (batch(x.shape[0], share, k, seed=(session.seed, "everybody")) for k in steps)
    trained = train_protected(x, targets, optimizer, settings.activation, batches)
    opened = [session.reveal(layer, to=ANALYST).ravel() for layer in trained]
    return Answer({"weights": np.concatenate(opened)})


@program(
    requires={Op.SHARE, Op.PLAIN_MATMUL, Op.ADD, Op.SQUARE, Op.REVEAL},
    plan=plan_score,
    placement=Placement.SCORING,
)
def score(session: Session, plan: Plan) -> Answer:
    """Apply the server's network, with square activations, to protected records."""
    x = session.share("features", owner="owner-1", label="records", layout="columns")
    depth = len(_sizes(plan.settings, plan.public)) - 1
    for layer in range(depth):
        weights = session.local(f"weights{layer}", at=SERVER, bound=WEIGHT_MAX)
        x = x @ weights + session.local(f"bias{layer}", at=SERVER, bound=WEIGHT_MAX)
        if layer < depth - 1:
            x = x.square()
    return Answer({"scores": session.reveal(x, to=ANALYST)})


def _descend(session: Session, plan: Plan, weights: np.ndarray) -> np.ndarray:
    settings = plan.settings
    contribution = Contribution(
        fn=gradient,
        shape=plan.shapes["gradient"],
        unit="record",
        unit_norm=settings.clip_norm,
        coordinate_max=GRADIENT_MAX,
    )
    optimizer = Optimizer(settings.optimizer, settings.learning_rate, weights)
    expected = plan.sample_rate * plan.public.records
    for step in range(plan.releases):
        state = _state(plan, optimizer.weights)
        total = session.sum(contribution, state, to=ANALYST, step=step)
        optimizer.step(total.value / expected)
    return optimizer.weights


def _average(session: Session, plan: Plan, weights: np.ndarray) -> np.ndarray:
    settings = plan.settings
    contribution = Contribution(
        fn=local_training,
        shape=plan.shapes["weights"],
        unit="owner",
        coordinate_max=WEIGHT_MAX * plan.public.records_max,
        weighted="weights",
        local_steps=True,
    )
    for epoch in range(settings.epochs):
        training = [
            settings.learning_rate,
            settings.batch,
            epoch,
            session.seed,
            settings.clip_norm,
        ]
        state = {**_state(plan, weights), "training": np.array(training)}
        total = session.sum(contribution, state, to=ANALYST)
        weights = total.value[:-1] / total.value[-1]
    return weights


def _state(plan: Plan, weights: np.ndarray) -> State:
    sizes, image = _sizes(plan.settings, plan.public), _image(plan.settings, plan.public)
    return network_state(weights, sizes, plan.settings.activation, image)


def _image(settings: Settings, public: Public) -> tuple[int, int] | None:
    return public.image if settings.model == "cnn" else None


def _sizes(settings: Settings, public: Public) -> list[int]:
    hidden = [int(n) for n in str(settings.hidden).split(",")]
    return [len(public.features), *hidden, public.classes]


class Perceptron(Task):
    """Classify with a small neural network.

    References
    ----------
    .. [1] McMahan et al., Communication-Efficient Learning of Deep Networks from
       Decentralized Data, AISTATS 2017 (federated averaging).
    """

    name = "deep"
    title = "Multilayer perceptron"
    settings = Settings
    programs = {"sums": sums, "outsourced": outsourced, "score": score}  # noqa: RUF012

    def encode(self, table: Table, settings: Settings) -> Records:
        """Scaled features and class numbers."""
        features = encode(table)
        arrays = {"features": features.matrix, "classes": table.target}
        classes = len(table.card.classes)
        public = Public(features.names, features.norm, classes, image=table.card.image)
        return Records(arrays, public, table.target)

    def model(self, train: Records, settings: Settings) -> dict[str, np.ndarray]:
        """Weights of torch's own training."""
        weights = _fit(train, settings)
        found: dict[str, np.ndarray] = {}
        for k, (w, b) in enumerate(layers(weights, _sizes(settings, train.public))):
            found |= {f"weights{k}": w, f"bias{k}": b}
        return found

    def reference(self, program: str, train: Records, test: Records, settings: Settings) -> Answer:
        """Torch's modules, optimiser and data loader on pooled records."""
        weights = _fit(train, settings)
        return Answer({"weights": weights, "scores": self._outputs(weights, test, settings)})

    def score(
        self, answer: Answer, reference: Answer, test: Records, settings: Settings
    ) -> dict[str, Metric]:
        """Scores on test records beside torch's."""
        exact = softmax(reference["scores"])
        if "weights" in answer.values:
            scores, extra = self._outputs(answer["weights"], test, settings), {}
        else:
            scores = answer["scores"]
            worst = float(np.abs(scores - reference["scores"]).max())
            extra = {"score_max_error": Metric(worst, 0.0, "lower")}
        ours = softmax(scores)
        return {
            **classifier_metrics(ours, exact, test.labels),
            "prediction_agreement": agreement(ours, exact),
            **extra,
        }

    def losses(self, answer: Answer, records: Records, settings: Settings) -> np.ndarray | None:
        """Cross-entropy, if the network is released."""
        if "weights" not in answer.values:
            return None
        scores = self._outputs(answer["weights"], records, settings)
        return softmax_losses(scores, records["classes"])

    def _outputs(self, weights: np.ndarray, test: Records, settings: Settings) -> np.ndarray:
        sizes = _sizes(settings, test.public)
        image = _image(settings, test.public)
        return outputs(weights, test["features"], sizes, settings.activation, image)


def _fit(train: Records, settings: Settings) -> np.ndarray:
    image = _image(settings, train.public)
    return fit_with_torch(
        train["features"],
        train["classes"],
        sizes=_sizes(settings, train.public),
        image=image,
        activation=settings.activation,
        adam=settings.optimizer == "adam",
        rate=settings.learning_rate,
        epochs=settings.epochs,
        batch=max(1, round(settings.batch * len(train.labels))),
        seed=train.seed,
    )
