"""Programs that train on protected arrays: exact in the clear, and alive in fixed point."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from fixed_point import UNIT, FixedPoint
from scipy import stats
from sklearn.metrics import roc_auc_score
from studies import evaluated, public_of, records_of, spread

from petlab.algorithms.linear import balance, inverse, scaling, solve_protected
from petlab.algorithms.logistic import with_intercept
from petlab.algorithms.perceptron.network import initial_parameters, outputs
from petlab.algorithms.perceptron.protected import (
    GRADIENT_SCALE,
    ProtectedOptimizer,
    gradients,
    layer_matrices,
)
from petlab.core.ops import Op
from petlab.core.party import Shard
from petlab.core.plan import Plan, Public
from petlab.core.session import Opening, Session
from petlab.core.task import Answer, Records
from petlab.data.dataset import find_dataset
from petlab.data.partition import split
from petlab.errors import OutOfRange, ProtocolError, Unsupported, UsageError
from petlab.running import registry
from petlab.running.result import Cell, Status

TECHNIQUES = [registry.find_technique("cleartext"), FixedPoint()]
BY_NAME = [pytest.param(technique, id=technique.name) for technique in TECHNIQUES]
ROUNDING = 100 * UNIT


def opened(technique: Any, *arrays: np.ndarray, value_max: float = 1e3) -> tuple[Any, ...]:
    """A session, and each array protected by an owner of its own."""
    shards = [Shard(f"owner-{k + 1}", len(a), {"a": a}) for k, a in enumerate(arrays)]
    shapes = {f"a{k}": a.shape for k, a in enumerate(arrays)}
    plan = Plan(None, Public(), releases=99, value_max=value_max, shapes=shapes)
    session = technique.open(Opening(shards, plan))
    return session, *(session.share("a", owner=o) for o in session.owner_names)


def random(*shape: int, seed: int = 0) -> np.ndarray:
    """Uniform numbers from -2 to 2."""
    return np.random.default_rng(seed).uniform(-2, 2, shape)


def trained(
    task: str, table: str, technique: Any = TECHNIQUES[0], *, rows: int = 5000, **settings: Any
) -> tuple[Answer, Answer, Records]:
    """An outsourced program's answer, the reference's, and the test records."""
    found = registry.find_task(task)
    chosen = found.settings(**settings)
    records = records_of(task, table, chosen)
    train, test = (records.take(index) for index in split(records.keys, 0.25, seed=0))
    train = train.take(np.arange(min(rows, len(train.labels))))
    program = found.programs["outsourced"]
    plan = program.plan(chosen, public_of(train, 3))
    answer = technique.execute(program, Opening(spread(train, 3), plan)).answer
    return answer, found.reference("outsourced", train, test, chosen), test


# Operations and operators.


@pytest.mark.parametrize("technique", BY_NAME)
def test_operators_are_numpys(technique: Any) -> None:
    """+ - * @, transposes and rows, with public operands on either side, as numpy has them."""
    a, b, m, row = random(3, 4), random(3, 4, seed=1), random(4, 2), random(4)
    _, x, y, w = opened(technique, a, b, m)
    pairs = {
        "x + y": (x + y, a + b),
        "x + row": (x + row, a + row),
        "row + x": (row + x, row + a),
        "1 + x": (1 + x, 1 + a),
        "x - y": (x - y, a - b),
        "x - row": (x - row, a - row),
        "row - x": (row - x, row - a),
        "-x": (-x, -a),
        "x * y": (x * y, a * b),
        "x * x[:1]": (x * x[:1], a * a[:1]),
        "x * row": (x * row, a * row),
        "0.5 * x": (0.5 * x, 0.5 * a),
        "x @ w": (x @ w, a @ m),
        "x @ public": (x @ m, a @ m),
        "public @ w": (a @ w, a @ m),
        "x.T": (x.T, a.T),
        "x[1:]": (x[1:], a[1:]),
        "x[[2, 0, 2]]": (x[np.array([2, 0, 2])], a[[2, 0, 2]]),
        "x.square()": (x.square(), a**2),
    }
    for text, (ours, exact) in pairs.items():
        assert ours.shape == exact.shape, text
        np.testing.assert_allclose(ours.handle, exact, atol=ROUNDING, err_msg=text)


@pytest.mark.parametrize("technique", BY_NAME)
def test_functions_are_numpys(technique: Any) -> None:
    """Each function of the waist equals its usual definition."""
    a = random(5, 3)
    session, x, p = opened(technique, a, np.abs(a) + 0.1)
    powers = np.exp(a)
    pairs = {
        "total rows": (session.total(x, axis=0), a.sum(0, keepdims=True)),
        "total columns": (session.total(x, axis=1), a.sum(1, keepdims=True)),
        "stack": (session.stack([x, x]), np.concatenate([a, a])),
        "positive": (session.positive(x), (a > 0).astype(float)),
        "relu": (session.relu(x), np.maximum(a, 0)),
        "exp": (session.exp(x, low=-2, high=2), powers),
        "reciprocal": (session.reciprocal(p, low=0.1, high=3), 1 / (np.abs(a) + 0.1)),
        "inv_sqrt": (session.inv_sqrt(p, low=0.1, high=3), (np.abs(a) + 0.1) ** -0.5),
        "sigmoid": (session.sigmoid(x), 1 / (1 + 1 / powers)),
        "softmax": (session.softmax(x), powers / powers.sum(1, keepdims=True)),
    }
    for text, (ours, exact) in pairs.items():
        assert ours.shape == exact.shape, text
        # The toy's functions are approximated, off by 2^-8 of the value at most.
        loose = (
            {"rtol": 0.005, "atol": 2.0**-11} if technique is not TECHNIQUES[0] else {"rtol": 1e-12}
        )
        np.testing.assert_allclose(ours.handle, exact, err_msg=text, **loose)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("exp", {"low": -2.5, "high": 1.5}),
        ("exp", {"low": -1.5, "high": 2.5}),
        ("reciprocal", {"low": 0.1, "high": 2.5}),
        ("reciprocal", {"low": 1e-9, "high": 1.0}),
        ("inv_sqrt", {"low": 1e-9, "high": 2.5}),
        ("sigmoid", {"bound": 1.5}),
        ("softmax", {"bound": 1.5}),
    ],
)
def test_value_outside_its_declared_range_is_an_error(function: str, arguments: Any) -> None:
    """An approximation is good on its range only, so that leaving it is never silent."""
    session, x = opened(TECHNIQUES[0], np.array([[-2.0, 0.5, 2.0]]))
    with pytest.raises(OutOfRange, match="declared range"):
        getattr(session, function)(x, **arguments)


def test_value_that_is_no_number_is_outside_every_range() -> None:
    """A product that overflowed does not slip through the comparison."""
    session, x = opened(TECHNIQUES[0], np.ones((1, 2)))
    x.handle[0, 0] = np.nan
    with pytest.raises(OutOfRange):
        session.sigmoid(x)


@pytest.mark.parametrize("function", ["reciprocal", "inv_sqrt"])
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0), (2.0, 1.0), (1.0, np.inf)])
def test_range_that_is_none_is_refused(function: str, low: float, high: float) -> None:
    """A range is positive, finite and not empty."""
    session, x = opened(TECHNIQUES[0], np.ones((1, 2)))
    with pytest.raises(UsageError, match="range"):
        getattr(session, function)(x, low=low, high=high)


def test_shapes_that_do_not_fit_are_refused() -> None:
    """Before a technique meets them."""
    session, x, y = opened(TECHNIQUES[0], random(3, 4), random(2, 3))
    for operation in (
        lambda: x + y,
        lambda: x * y,
        lambda: x @ y,
        lambda: x @ random(3, 3),
        lambda: x * random(2, 3, 4),
        lambda: session.stack([x, y]),
    ):
        with pytest.raises(ProtocolError, match="shape"):
            operation()
    with pytest.raises(IndexError):
        x[np.array([3])]


def test_labels_do_not_mix_in_a_stack() -> None:
    """Records of two studies are not put below each other."""
    session, x = opened(TECHNIQUES[0], random(3, 4))
    other = session.share("a", owner="owner-1", label="other")
    with pytest.raises(ProtocolError, match="do not mix"):
        session.stack([x, other])


def test_program_whose_operations_are_missing_does_not_start() -> None:
    """The gap is met before a record is shared, wherever the program runs."""
    found = registry.find_task("elm")
    settings = found.settings()
    records = records_of("elm", "wdbc", settings, rows=60)
    plan = found.programs["outsourced"].plan(settings, public_of(records, 2))
    session = registry.find_technique("he").open(Opening(spread(records, 2), plan))
    with pytest.raises(Unsupported):
        found.programs["outsourced"](session, plan)
    assert session.transcript.bytes == 0


@pytest.mark.parametrize("task", ["elm", "logreg", "deep"])
def test_programs_require_what_they_call_and_no_more(
    task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every required hook is used under some setting, and no other one."""
    used: set[Op] = set()
    kind = TECHNIQUES[0].session
    for op in Op:
        hook = getattr(kind, op.value)
        if callable(hook) and op.value in dir(kind):
            monkeypatch.setattr(kind, op.value, _noting(used, op, hook))
    variants: list[dict[str, Any]] = [{}]
    if task == "deep":
        base = {"epochs": 1, "hidden": "4"}
        variants = [
            base | {"optimizer": o, "activation": a}
            for o, a in itertools.product(("sgd", "adam"), ("relu", "tanh", "square"))
        ]
    for settings in variants:
        trained(task, "wdbc", **settings)
    assert used == registry.find_task(task).programs["outsourced"].requires


def _noting(used: set[Op], op: Op, hook: Any) -> Any:
    def noted(self: Session, *arguments: Any) -> Any:
        used.add(op)
        return hook(self, *arguments)

    return noted


@pytest.mark.parametrize("task", ["elm", "logreg", "deep"])
def test_only_the_model_is_opened(task: str) -> None:
    """The analyst reads as many numbers as the model has."""
    quick = {"epochs": 1, "hidden": "4"} if task == "deep" else {}
    found = registry.find_task(task)
    settings = found.settings(**quick)
    records = records_of(task, "wdbc", settings, rows=90)
    plan = found.programs["outsourced"].plan(settings, public_of(records, 3))
    run = FixedPoint().execute(found.programs["outsourced"], Opening(spread(records, 3), plan))
    model = sum(value.size for value in run.answer.values.values())
    assert model == sum(np.prod(shape) for shape in plan.shapes.values())
    assert plan.public_size


def test_toy_ring_has_an_end_and_a_resolution() -> None:
    """The simulation can fail: on large values, on large products, and by rounding."""
    _, x = opened(FixedPoint(), np.array([[1500.0]]), value_max=2e3)
    for operation in (lambda: x * x, lambda: x @ x, lambda: x * 1e3):
        with pytest.raises(OutOfRange, match="ring"):
            operation()
    assert (x * (UNIT / 4)).handle == pytest.approx(0, abs=UNIT)


# Linear systems.


@pytest.mark.parametrize("condition", [1.5, 30.0, 1e3, 1e6])
def test_scaled_steps_are_few_and_converge(condition: float) -> None:
    """About log4 of the condition number and a few more, where plain ones take log2."""
    rng = np.random.default_rng(3)
    basis, _ = np.linalg.qr(rng.normal(size=(12, 12)))
    matrix = basis * np.geomspace(1 / condition, 1, 12) @ basis.T
    _, a = opened(TECHNIQUES[0], matrix)
    found = inverse(a, low=1 / condition, high=1.0).handle
    assert np.linalg.norm(found @ matrix - np.eye(12)) < 1e-4
    assert len(scaling(1 / condition)) <= np.log(condition) / np.log(4) + 5


def test_eigenvalue_that_rounding_lifts_above_one_stays_positive() -> None:
    """In the first steps mu is nearly two, and two would throw such a value below zero."""
    _, a = opened(TECHNIQUES[0], np.diag([1e-4, 1.04]))
    found = inverse(a, low=1e-4, high=1.0).handle
    np.testing.assert_allclose(found, np.diag([1e4, 1 / 1.04]), rtol=1e-4)


@pytest.mark.parametrize("technique", BY_NAME)
def test_badly_scaled_system_is_solved(technique: Any) -> None:
    """Eigenvalues from one to twenty thousand: balanced, both sides fit the ring."""
    rng = np.random.default_rng(4)
    basis, _ = np.linalg.qr(rng.normal(size=(20, 20)))
    matrix, right = basis * np.geomspace(1, 2e4, 20) @ basis.T, 100 * rng.normal(size=(20, 2))
    _, a, b = opened(technique, matrix, right, value_max=2e4)
    found = solve_protected(a, b, low=1.0, high=4e4).handle
    exact = np.linalg.solve(matrix, right)
    assert np.linalg.norm(found - exact) <= 2e-3 * np.linalg.norm(exact)
    assert balance(1.0, 4e4) in (128.0, 256.0)


def test_without_balance_the_inverse_drowns_in_rounding() -> None:
    """Reciprocals of two units of the ring diverge; divided by a power of two, they do not."""
    values, high = np.geomspace(1, 5e5, 20), 5e5
    matrix, roots = np.diag(values), np.sqrt(values)
    _, a = opened(FixedPoint(), matrix, value_max=1e6)
    with pytest.raises(OutOfRange, match="range"):
        inverse(a, low=1.0, high=high)
    share = 1 / balance(1.0, high)
    _, a = opened(FixedPoint(), matrix * share)
    found = inverse(a, low=share, high=high * share).handle * share
    assert np.linalg.norm(roots[:, None] * found * roots - np.eye(20)) < 0.05


# Extreme learning machine.


@pytest.mark.parametrize("table", ["wdbc", "heart", "german_credit", "digits"])
def test_elm_is_exact_in_the_clear(table: str) -> None:
    """beta is that of scikit-learn's ridge regression."""
    answer, reference, _ = trained("elm", table)
    np.testing.assert_allclose(answer["beta"], reference["beta"], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("table", ["wdbc", "heart", "german_credit", "digits"])
def test_elm_survives_fixed_point(table: str) -> None:
    """beta within two per cent, though a bit of 2^-20 is 1 % of some entries' reciprocal."""
    answer, reference, test = trained("elm", table, FixedPoint())
    error = np.linalg.norm(answer["beta"] - reference["beta"])
    assert error <= 0.02 * np.linalg.norm(reference["beta"])
    scores = registry.find_task("elm").score(
        answer, reference, test, registry.find_task("elm").settings()
    )
    assert scores["accuracy"].value == pytest.approx(scores["accuracy"].reference, abs=0.005)


def test_elm_past_the_condition_limit_says_so() -> None:
    """The bound on the condition is public, the condition itself is not opened."""
    answer, _, _ = trained("elm", "wdbc", C=1e4)
    assert "condition number may be" in answer.notes[0]


# Logistic regression.


@pytest.mark.parametrize("technique", BY_NAME)
@pytest.mark.parametrize("table", ["wdbc", "heart", "german_credit"])
def test_logreg_is_as_good_as_scikit_learn(table: str, technique: Any) -> None:
    """AUC within .005 and coefficients within one per cent, after thirty public steps."""
    answer, reference, test = trained("logreg", table, technique)
    ours = with_intercept(test["features"]) @ answer["theta"]
    aucs = [roc_auc_score(test.labels, scores[:, 0]) for scores in (ours, reference["scores"])]
    assert aucs[0] == pytest.approx(aucs[1], abs=0.005)
    error = np.linalg.norm(answer["theta"] - reference["theta"])
    assert error <= 0.01 * np.linalg.norm(reference["theta"])


def test_logreg_of_several_classes_is_one_against_the_rest() -> None:
    """One inverse serves all classes; ten of them agree with ten fits."""
    answer, reference, test = trained("logreg", "digits")
    ours = with_intercept(test["features"]) @ answer["theta"]
    assert answer["theta"].shape == (65, 10)
    assert (ours.argmax(1) == reference["scores"].argmax(1)).mean() >= 0.99


# Perceptron.


@pytest.mark.parametrize("activation", ["relu", "tanh", "square"])
@pytest.mark.parametrize("hidden", [(5,), (6, 4)])
def test_gradient_by_hand_equals_autograd(activation: str, hidden: tuple[int, ...]) -> None:
    """On a batch, layer by layer, by torch's own differentiation."""
    sizes = [7, *hidden, 3]
    flat = initial_parameters(sizes, seed=2) + 0.01
    x, classes = random(20, 7) / 2, np.arange(20) % 3
    parameters = torch.tensor(flat, requires_grad=True)
    scores = outputs(parameters, torch.tensor(x), sizes, activation)
    torch.nn.functional.cross_entropy(scores, torch.tensor(classes), reduction="sum").backward()
    _, shared, targets = opened(TECHNIQUES[0], x, np.eye(3)[classes])
    found = gradients(shared, targets, layer_matrices(flat, sizes), activation)
    ours = np.concatenate([g.handle.ravel() for g in found])
    np.testing.assert_allclose(ours, parameters.grad.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("name", "tolerance"), [("adam", 1e-2), ("sgd", 1e-12)])
def test_steps_are_those_of_torch(name: str, tolerance: float) -> None:
    """Twenty steps on the same gradients; Adam's public floor changes little."""
    weights = random(6, 3)
    steps = [random(6, 3, seed=k) for k in range(20)]
    parameter = torch.tensor(weights, requires_grad=True)
    theirs: Any = (
        torch.optim.Adam([parameter], lr=0.05)
        if name == "adam"
        else torch.optim.SGD([parameter], lr=0.05, momentum=0.9)
    )
    _, *shared = opened(TECHNIQUES[0], *(10 * step for step in steps))
    ours = ProtectedOptimizer(name, 0.05, [weights])
    for step, total in zip(steps, shared, strict=True):
        parameter.grad = torch.tensor(step / GRADIENT_SCALE)
        theirs.step()
        ours.step([total * (1 / GRADIENT_SCALE)], rows=10)
    moved = parameter.detach().numpy() - weights
    assert np.abs(moved).max() > 0.01
    np.testing.assert_allclose(
        ours.layers[0].handle - weights, moved, atol=tolerance * np.abs(moved).max()
    )


ADAM = {"optimizer": "adam", "learning_rate": 0.01, "batch_share": 0.1, "epochs": 5}


def accuracy(answer: Answer, test: Records, settings: dict[str, Any]) -> float:
    """Share of test records that the opened network gets right."""
    sizes = [test["features"].shape[1], int(settings.get("hidden", 64)), test.public.classes]
    activation = settings.get("activation", "tanh")
    scores = outputs(answer["weights"], test["features"], sizes, activation)
    return float((scores.argmax(1) == test.labels).mean())


@pytest.mark.parametrize("settings", [ADAM, {"batch_share": 0.1, "epochs": 15}])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_deep_learns_digits(activation: str, settings: dict[str, Any]) -> None:
    """With softmax and both optimisers, about as well as torch does."""
    settings = settings | {"activation": activation}
    answer, reference, test = trained("deep", "digits", **settings)
    theirs = (reference["scores"].argmax(1) == test.labels).mean()
    assert accuracy(answer, test, settings) >= max(0.93, theirs - 0.02)


@pytest.mark.parametrize(
    ("table", "settings"),
    [
        ("digits", ADAM | {"activation": "relu"}),
        ("digits", ADAM | {"activation": "tanh", "rows": 600}),
        ("digits", ADAM | {"activation": "square", "learning_rate": 0.005}),
        ("digits", {"activation": "relu", "batch_share": 0.1, "epochs": 5}),
        ("wdbc", ADAM | {"activation": "relu", "hidden": "16"}),
    ],
)
def test_deep_survives_fixed_point(table: str, settings: dict[str, Any]) -> None:
    """Within a point or two of the same program in floating point."""
    clear, _, test = trained("deep", table, **settings)
    rounded, _, _ = trained("deep", table, FixedPoint(), **settings)
    expected = accuracy(clear, test, settings)
    assert expected > 0.85
    assert accuracy(rounded, test, settings) == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize("settings", [{"model": "cnn"}, {"method": "fedavg"}])
def test_deep_outsourced_is_for_perceptrons_and_gradients(settings: dict[str, Any]) -> None:
    """Other settings are refused, not ignored."""
    task = registry.find_task("deep")
    public = replace(records_of("deep", "digits", task.settings(), rows=9).public, image=(8, 8))
    with pytest.raises(UsageError, match="model=mlp method=gradient"):
        task.programs["outsourced"].plan(task.settings(**settings), public)


# Many factors at once.


def linked(disease: np.ndarray, genotypes: np.ndarray, levels: int = 3) -> Answer:
    """Tests of all columns of genotypes (people, factors), in one protected product."""
    people, factors = genotypes.shape
    names = tuple(f"snp{k}" for k in range(factors))
    widths = {"disease": 2, "factor": levels * factors} | {f"factor={n}": levels for n in names}
    program = registry.find_task("chi2").programs["linked"]
    plan = program.plan(None, Public(features=names, levels=widths))
    codes = genotypes + levels * np.arange(factors)
    shards = [
        Shard("owner-1", people, {"disease": disease}),
        Shard("owner-2", people, {"factor": codes}),
    ]
    return TECHNIQUES[0].execute(program, Opening(shards, plan)).answer


def test_a_thousand_factors_are_tested_at_once() -> None:
    """1,000 genotypes of 4,500 people; every statistic is scipy's of that column."""
    rng = np.random.default_rng(6)
    disease = rng.integers(0, 2, 4500)
    genotypes = rng.binomial(2, rng.uniform(0, 0.5, 1000), (4500, 1000))
    genotypes[:, 7] = 2 * disease
    genotypes[:, 8] = 1
    answer = linked(disease, genotypes)
    assert answer["statistic"].shape == answer["p_value"].shape == (1000,)
    assert answer["table"].shape == (2, 3000)
    for k in (0, 1, 7, 500, 999):
        counts = stats.contingency.crosstab(disease, genotypes[:, k]).count
        exact = stats.chi2_contingency(counts, correction=False)
        assert answer["statistic"][k] == pytest.approx(exact.statistic, rel=1e-9)
        assert answer["p_value"][k] == pytest.approx(exact.pvalue, rel=1e-9)
    assert answer["statistic"][8] == 0.0
    assert answer["p_value"][8] == 1.0
    assert "one level" in " ".join(answer.notes)


@pytest.mark.parametrize("factor", ["all", "housing,job"])
def test_many_columns_of_a_table_are_tested(factor: str) -> None:
    """All columns but the target, or those of a list, each as if it were tested alone."""
    cell = Cell("chi2", "linked", "cleartext", "german_credit", settings={"factor": factor})
    result = evaluated(cell)
    assert result.status is Status.OK, result.reason
    assert result.quality["statistic_rel_error"].value <= 1e-9
    assert result.quality["decision_agreement"].value == 1.0
    assert result.quality["count_max_error"].value == 0.0
    names = [c.name for c in find_dataset("german_credit").load().columns]
    chosen = names if factor == "all" else factor.split(",")
    assert len(result.answer["statistic"]) == len(chosen)
    for k in (0, -1):
        alone = evaluated(replace(cell, settings={"factor": chosen[k]}))
        for name in ("statistic", "p_value"):
            assert result.answer[name][k] == pytest.approx(alone.answer[name], rel=1e-9)


def test_sums_test_one_factor() -> None:
    """A person is a one in a cell of every table: the plan of sums does not allow for it."""
    found = registry.find_task("chi2")
    settings = found.settings(factor="all")
    records = records_of("chi2", "german_credit", settings)
    with pytest.raises(UsageError, match="one factor"):
        found.programs["sums"].plan(settings, records.public)


def test_unknown_factor_among_many_is_refused() -> None:
    """With the names of the columns."""
    found = registry.find_task("chi2")
    with pytest.raises(UsageError, match=r"one of .*housing"):
        records_of("chi2", "german_credit", found.settings(factor="housing,no_such"))


# Steps as long as their batches.


@pytest.mark.parametrize("share", [0.25, 0.3, 0.9, 1.0])
def test_a_step_divides_by_the_batch_that_it_drew(
    share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An epoch is cut into equal batches of at most the share asked for, and each is a mean."""
    from petlab.tasks import deep

    task = registry.find_task("deep")
    settings = task.settings(hidden="3", epochs=1, batch_share=share)
    records = records_of("deep", "wdbc", settings, rows=360)
    shards, public = spread(records, 3), public_of(records, 3)
    plan = task.programs["sums"].plan(settings, public)
    steps, totals = [], []
    optimizer, gradient = deep.Optimizer.step, deep.gradient

    def stepped(self: Any, mean: np.ndarray) -> None:
        steps.append(mean)
        optimizer(self, mean)

    def summed(state: Any, shard: Shard, memory: Any) -> Any:
        rows = gradient(state, shard, memory)
        totals.append((rows.total(), rows.count))
        return rows

    summed.__module__, summed.__qualname__ = gradient.__module__, gradient.__qualname__
    monkeypatch.setattr(deep.Optimizer, "step", stepped)
    monkeypatch.setattr(deep, "gradient", summed)
    registry.find_technique("cleartext").execute(task.programs["sums"], Opening(shards, plan))
    per_step = len(totals) // len(steps)
    for k, mean in enumerate(steps):
        drawn = totals[k * per_step : (k + 1) * per_step]
        count = sum(n for _, n in drawn)
        np.testing.assert_allclose(mean, sum(t for t, _ in drawn) / count, rtol=1e-9, atol=1e-12)
        assert count <= share * 360 + 1e-9
