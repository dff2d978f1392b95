"""Accuracy against epsilon, and the small convolutional network that it is shown on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from petlab.algorithms.perceptron.network import (
    GradientRows,
    initial_parameters,
    outputs,
    parameter_count,
)
from petlab.algorithms.perceptron.reference import _network, _transposed
from petlab.deciding.epsilon import epsilon_study
from petlab.errors import UsageError
from petlab.running.evaluator import evaluate
from petlab.running.result import Cell
from petlab.study.epsilon import certainty


@pytest.fixture(scope="module")
def study():
    """Two epsilons, three seeds, and the runs beside them."""
    return epsilon_study("chi2", dataset="apoe", epsilons=(0.5, 5.0), seeds=(0, 1, 2))


def test_each_epsilon_is_a_point_with_an_interval_over_seeds(study):
    """Mean and half width equal an independent t-interval."""
    (curve,) = study.curves
    assert [round(point.epsilon, 6) for point in curve.points] == [0.5, 5.0]
    values = [
        result.quality[curve.metric].value
        for result in study.results
        if result.guarantee.epsilon == 5.0
    ]
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert curve.points[1].quality.mean == pytest.approx(np.mean(values))
    assert 2 * curve.points[1].quality.half == pytest.approx(high - low)


def test_the_picture_and_the_sentence_are_shown_in_a_notebook(study):
    """An SVG, and words that name both ends of the curve."""
    html = study._repr_html_()
    assert "<svg" in html
    assert "epsilon 0.5" in html
    assert "certainty" in html


def test_certainty_is_the_bound_of_hypothesis_testing(study):
    """(e^eps + delta) / (1 + e^eps): 0.62 at 0.5, never above one."""
    (curve,) = study.curves
    assert certainty(curve.points[0]) == pytest.approx(np.exp(0.5) / (1 + np.exp(0.5)))


def test_a_technique_without_noise_has_no_curve():
    """Asking for one is refused with what to use."""
    with pytest.raises(UsageError, match=r"\+dp"):
        epsilon_study("chi2", technique="he")


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("image", [None, (8, 8)])
def test_outputs_and_gradients_equal_those_of_torch_modules(activation, image):
    """Flat parameters describe the same network as torch.nn's layers."""
    import torch

    sizes, rng = [64, 12, 10], np.random.default_rng(0)
    x, y = rng.uniform(-1, 1, (7, 64)), rng.integers(0, 10, 7)
    flat = initial_parameters(sizes, seed=3, image=image)
    assert len(flat) == parameter_count(sizes, image)
    network = _network(sizes, image, activation)
    torch.nn.utils.vector_to_parameters(
        torch.from_numpy(_transposed(flat, sizes, image)), network.parameters()
    )
    scores = network(torch.from_numpy(x))
    np.testing.assert_allclose(
        outputs(flat, x, sizes, activation, image), scores.detach().numpy(), atol=1e-12
    )
    torch.nn.functional.cross_entropy(scores, torch.from_numpy(y), reduction="sum").backward()
    theirs = torch.cat([p.grad.flatten() for p in network.parameters()]).numpy()
    ours = GradientRows(flat, x, y, sizes=sizes, activation=activation, image=image)
    np.testing.assert_allclose(
        ours.total(), _transposed(theirs, sizes, image, back=True), atol=1e-10
    )


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("image", [None, (8, 8)])
def test_norms_are_those_of_single_examples(order, image):
    """The one-pass norms equal the norm of each example's own gradient."""
    sizes, rng = [64, 6, 4], np.random.default_rng(1)
    x, y = rng.uniform(-1, 1, (9, 64)), rng.integers(0, 4, 9)
    flat = initial_parameters(sizes, seed=0, image=image)

    def rows(index):
        return GradientRows(flat, x[index], y[index], sizes=sizes, activation="tanh", image=image)

    single = [np.linalg.norm(rows(slice(i, i + 1)).total(), ord=order) for i in range(9)]
    np.testing.assert_allclose(rows(slice(None)).norms(order), single, rtol=1e-10)


def test_a_convolutional_network_needs_data_that_says_it_is_images():
    """A table of measurements is refused with the reason."""
    with pytest.raises(UsageError, match="image"):
        evaluate(Cell("deep", dataset="wdbc", settings={"model": "cnn"}))


@pytest.mark.slow
def test_a_convolutional_network_trains_under_differential_privacy():
    """Better than guessing one of ten digits by far, and epsilon as asked."""
    settings = {
        "model": "cnn",
        "activation": "tanh",
        "batch_share": 0.3,
        "epochs": 20,
        "learning_rate": 0.2,
        "epsilon": 8.0,
        "insecure_seed": 1,
    }
    result = evaluate(Cell("deep", technique="dp", dataset="digits", settings=settings))
    assert result.quality["accuracy"].value > 0.6
    assert result.guarantee.epsilon is None, "its noise can be repeated"
    from petlab.running.prepared import dataset_of, plan_cell, prepare

    prepared = prepare(Cell("deep", technique="dp", dataset="digits", settings=settings))
    unseeded = prepare(
        Cell("deep", technique="dp", dataset="digits", settings={**settings, "insecure_seed": None})
    )
    plan = plan_cell(prepared, dataset_of(prepared))
    release = unseeded.technique.release(plan)
    assert release._calibration.epsilon == pytest.approx(8.0, rel=0.01)
    assert prepared.technique.release(plan)._calibration.multiplier == pytest.approx(
        release._calibration.multiplier
    )
