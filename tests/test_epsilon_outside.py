"""Epsilon from outputs of whole cells alone, on a table and the same without one record.

`make epsilon` tries every mechanism and place at length; here are a few, and proof that the
estimator notices when there is less noise than was claimed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))

import epsilon_outside as outside  # type: ignore[import-not-found]

from petlab.algorithms import independence
from petlab.techniques.dp.noise import NoiseStream

ALPHA = 1e-7
"""A bound that is too high once in ten million is no flaky test."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """P values are computed from the table; nobody looks at them here."""
    monkeypatch.setattr(independence, "NULL_DRAWS", 1)


def bound(case: outside.Case, tmp_path: Path, runs: int) -> float:
    """Lower bound on epsilon, and the claim has to be above it."""
    pair = outside.tables(tmp_path, 4 * case.owners + 40)
    (a, promise), (b, _) = (outside.outputs(case, dataset, runs) for dataset in pair)
    assert promise.epsilon is None or promise.epsilon == pytest.approx(case.settings["epsilon"])
    return float(outside.at_least(a, b, delta=promise.delta or 0.0, alpha=ALPHA))


CASES = [
    outside.Case("chi2", "dp", 3, {"epsilon": 1.0, "mechanism": "auto"}),
    outside.Case("chi2", "shares+dp", 10, {"epsilon": 1.0, "mechanism": "auto", "noise": "owners"}),
    outside.Case("logreg", "dp", 2, {"epsilon": 1.0, "method": "quadratic"}),
]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_released_keeps_to_the_claim(case: outside.Case, tmp_path: Path) -> None:
    """Also where the record that is gone would have been at any owner, or in any sample."""
    assert bound(case, tmp_path, 250) <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_too_little_noise_is_noticed(
    case: outside.Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small part of it."""
    for name in ("discrete_laplace", "gaussian"):
        drawn = getattr(NoiseStream, name)

        def less(self: NoiseStream, scale: float, count: int, drawn=drawn) -> np.ndarray:
            return drawn(self, scale / 256, count)

        monkeypatch.setattr(NoiseStream, name, less)
    shares = NoiseStream.polya
    monkeypatch.setattr(
        NoiseStream, "polya", lambda self, scale, k, n: shares(self, scale / 256, k, n)
    )
    assert bound(case, tmp_path, 250) > 1.0


def test_the_estimator_is_right_about_known_distributions() -> None:
    """Laplace noise of scale one: at most one, and most of it; exact answers: without limit."""
    rng = np.random.default_rng(0)
    a, b = rng.laplace(1.0, 1.0, (20_000, 1)), rng.laplace(0.0, 1.0, (20_000, 1))
    assert 0.8 < outside.at_least(a, b, delta=0.0, alpha=1e-3) <= 1.0
    assert outside.at_least(a, a[::-1], delta=0.0, alpha=1e-3) == 0
    assert outside.at_least(np.ones((2000, 1)), np.zeros((2000, 1)), delta=0.0) > 4
