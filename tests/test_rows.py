"""Rows that are never written out have the totals and norms of those that are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from petlab.algorithms.perceptron.network import GradientRows, initial_parameters
from petlab.core.rows import Cells, Dense, Gram, Outer, OwnerTotal, Rows, Stack, symmetric

NUMBERS = st.floats(-100, 100, allow_subnormal=False)


def matrix(rows: int, columns: int) -> st.SearchStrategy[np.ndarray]:
    """A matrix of moderate numbers."""
    return arrays(float, (rows, columns), elements=NUMBERS)


@st.composite
def rows_and_dense(draw: st.DrawFn) -> tuple[Rows, np.ndarray]:
    """Some rows, and the same ones written out by plain loops."""
    n, p, q = draw(st.integers(0, 6)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    x, y = draw(matrix(n, p)), draw(matrix(n, q))
    scale = draw(arrays(float, n, elements=NUMBERS))
    index = draw(arrays(np.int64, n, elements=st.integers(0, p - 1)))
    upper = [(i, j) for i in range(p) for j in range(i, p)]
    kinds: list[tuple[Rows, list[list[float]]]] = [
        (Dense(x), [list(row) for row in x]),
        (Cells(index, p), [[float(k == i) for k in range(p)] for i in index]),
        (Outer(x, y), [[a * b for a in x[k] for b in y[k]] for k in range(n)]),
        (Gram(x, scale), [[scale[k] * x[k, i] * x[k, j] for i, j in upper] for k in range(n)]),
        (Gram(x), [[x[k, i] * x[k, j] for i, j in upper] for k in range(n)]),
    ]
    chosen = draw(st.lists(st.sampled_from(range(len(kinds))), min_size=1, max_size=3))
    dense = np.hstack([np.array(kinds[c][1], float).reshape(n, kinds[c][0].width) for c in chosen])
    parts = [kinds[c][0] for c in chosen]
    return (parts[0] if len(parts) == 1 else Stack(*parts)), dense


@given(rows_and_dense())
def test_total_and_width_are_those_of_the_dense_rows(pair: tuple[Rows, np.ndarray]) -> None:
    """Summed without weights."""
    rows, dense = pair
    assert (rows.count, rows.width) == dense.shape
    np.testing.assert_allclose(rows.total(), dense.sum(0), rtol=1e-9, atol=1e-6)


@given(rows_and_dense(), st.data())
def test_weighted_total_is_that_of_the_dense_rows(
    pair: tuple[Rows, np.ndarray], data: st.DataObject
) -> None:
    """Each row times its clipping factor."""
    rows, dense = pair
    weights = data.draw(arrays(float, rows.count, elements=st.floats(0, 1)))
    expected = (dense * weights[:, None]).sum(0)
    np.testing.assert_allclose(rows.total(weights), expected, rtol=1e-9, atol=1e-6)


@given(rows_and_dense(), st.sampled_from([1, 2]))
def test_norms_are_those_of_the_dense_rows(pair: tuple[Rows, np.ndarray], order: int) -> None:
    """Exact, not only bounds: a bound that is too large clips too much."""
    rows, dense = pair
    expected = np.linalg.norm(dense, ord=order, axis=1)
    np.testing.assert_allclose(rows.norms(order), expected, rtol=1e-9, atol=1e-6)


@given(arrays(float, 5, elements=NUMBERS))
def test_owner_total_is_one_row(value: np.ndarray) -> None:
    """A whole owner is one unit."""
    rows = OwnerTotal(value)
    assert rows.count == 1
    np.testing.assert_array_equal(rows.total(), value)
    np.testing.assert_allclose(rows.total(np.array([0.5])), value / 2)
    np.testing.assert_allclose(rows.norms(), [np.linalg.norm(value)])


@given(st.integers(1, 6), st.data())
def test_upper_triangle_gives_the_matrix_back(size: int, data: st.DataObject) -> None:
    """Row by row, as Gram writes it."""
    x = data.draw(matrix(3, size))
    np.testing.assert_allclose(symmetric(Gram(x).total(), size), x.T @ x, rtol=1e-9, atol=1e-6)


@settings(max_examples=20)
@given(st.sampled_from(["relu", "square"]), st.integers(0, 99))
def test_gradient_rows_are_central_differences(activation: str, seed: int) -> None:
    """Totals and per-example norms of the loss' gradient, against finite differences."""
    rng = np.random.default_rng(seed)
    sizes, n = [3, 4, 2], 5
    parameters = initial_parameters(sizes, seed=seed) + rng.normal(scale=0.1, size=26)
    x, y = rng.normal(size=(n, 3)), rng.integers(0, 2, n)

    def losses(flat: np.ndarray) -> np.ndarray:
        z = x @ flat[:12].reshape(3, 4) + flat[12:16]
        h = z * z if activation == "square" else np.maximum(z, 0)
        scores = h @ flat[16:24].reshape(4, 2) + flat[24:]
        return np.logaddexp(scores[:, 0], scores[:, 1]) - scores[np.arange(n), y]

    step = 1e-6
    dense = np.array(
        [(losses(parameters + e) - losses(parameters - e)) / (2 * step) for e in step * np.eye(26)]
    ).T
    rows = GradientRows(parameters, x, y, sizes=sizes, activation=activation)
    np.testing.assert_allclose(rows.total(), dense.sum(0), atol=1e-5)
    np.testing.assert_allclose(rows.norms(), np.linalg.norm(dense, axis=1), atol=1e-5)
    weights = rng.uniform(size=n)
    np.testing.assert_allclose(rows.total(weights), weights @ dense, atol=1e-5)


def test_gradient_of_no_records_is_zero() -> None:
    """An owner whose batch is empty adds nothing."""
    rows = GradientRows(
        np.ones(8), np.zeros((0, 3)), np.zeros(0, int), sizes=[3, 2], activation="relu"
    )
    assert rows.count == 0
    np.testing.assert_array_equal(rows.total(), np.zeros(8))


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_optimizer_steps_are_torchs(name: str) -> None:
    """Heavy-ball SGD and Adam as torch.optim has them, over ten steps."""
    import torch

    from petlab.algorithms.perceptron.sums import Optimizer

    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=5), rng.normal(size=(10, 5))
    ours = Optimizer(name, 0.1, start)
    weights = torch.tensor(start.copy(), requires_grad=True)
    kinds = {"sgd": (torch.optim.SGD, {"momentum": 0.9}), "adam": (torch.optim.Adam, {})}
    kind, extra = kinds[name]
    theirs = kind([weights], lr=0.1, **extra)
    for gradient in gradients:
        ours.step(gradient)
        weights.grad = torch.tensor(gradient)
        theirs.step()
    np.testing.assert_allclose(ours.weights, weights.detach().numpy(), rtol=1e-10)
