"""Test of independence on a table of counts, exact or carrying privacy noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from petlab.core.contribution import Noise
from petlab.errors import DataError

NULL_DRAWS = 9_999


@dataclass(frozen=True)
class Tested:
    """Statistic, p value and effect size of a table, with remarks on their validity."""

    values: dict[str, np.ndarray]
    notes: tuple[str, ...]


def independence(table: np.ndarray, *, noise: Noise | None = None, seed: int = 0) -> Tested:
    """Pearson's chi-squared test without continuity correction.

    Counts that carry noise are tested against a Monte-Carlo null that carries the same
    noise, since the chi-squared distribution is badly wrong for them (at epsilon 0.1 a
    nominal 5 % test rejects nearly always).

    Parameters
    ----------
    table
        Counts, shape (r, c); possibly negative or fractional when noisy.
    noise
        What the counts carry.
    seed
        Of the Monte-Carlo draws.

    Raises
    ------
    DataError
        Only one row or column has any counts.

    References
    ----------
    .. [1] Agresti, Categorical Data Analysis, 3rd ed., section 3.2.
    .. [2] Gaboardi, Lim, Rogers, Vadhan, Differentially Private Chi-Squared Hypothesis
       Testing, ICML 2016, section 5 (Monte-Carlo tests).
    """
    from scipy import stats

    if noise is not None:
        return _noisy(table, noise, seed)
    seen = table[np.ix_(table.sum(1) > 0, table.sum(0) > 0)]
    if min(seen.shape) < 2:
        raise DataError("only one row or column of the table has counts: nothing to test.")
    expected = np.outer(seen.sum(1), seen.sum(0)) / seen.sum()
    statistic = float(((seen - expected) ** 2 / expected).sum())
    freedom = (seen.shape[0] - 1) * (seen.shape[1] - 1)
    values = {
        "statistic": statistic,
        "p_value": float(stats.chi2.sf(statistic, freedom)),
        "degrees_of_freedom": freedom,
        "cramers_v": np.sqrt(statistic / seen.sum() / (min(seen.shape) - 1)),
    }
    notes = []
    small = int((expected < 5).sum())
    if seen.shape == (2, 2):
        values |= _odds_ratio(seen)
        if small:
            values["fisher_p_value"] = float(stats.fisher_exact(seen).pvalue)
    if small:
        notes.append(
            f"{small} of {expected.size} expected counts are under 5: the p value is rough"
            + (", see Fisher's exact test." if seen.shape == (2, 2) else ".")
        )
    return Tested({name: np.array(float(v)) for name, v in values.items()}, tuple(notes))


def independence_each(tables: np.ndarray, widths: Sequence[int]) -> Tested:
    """Pearson's tests of many tables that stand side by side, all at once.

    A factor of which only one level (or class) occurs is independent of everything:
    statistic 0, p value 1.

    Parameters
    ----------
    tables
        Exact counts, shape (r, sum of widths).
    widths
        Columns of each table.
    """
    from scipy import stats

    starts = np.cumsum([0, *widths[:-1]])
    rows = np.add.reduceat(tables, starts, axis=1)
    columns, total = tables.sum(0), np.repeat(rows.sum(0), widths)
    expected = np.repeat(rows, widths, axis=1) * columns / np.maximum(total, 1)
    terms = (tables - expected) ** 2 / np.where(expected > 0, expected, 1)
    statistic = np.add.reduceat(terms.sum(0), starts)
    freedom = ((rows > 0).sum(0) - 1) * (np.add.reduceat((columns > 0).astype(int), starts) - 1)
    testable = freedom > 0
    p_value = np.where(testable, stats.chi2.sf(statistic, np.maximum(freedom, 1)), 1.0)
    rough = np.add.reduceat(((expected > 0) & (expected < 5)).any(0).astype(int), starts) > 0
    notes = [f"p values are of {len(widths)} single tests, without correction for their number."]
    if rough.any():
        notes.append(f"{rough.sum()} factors have expected counts under 5: rough p values.")
    if not testable.all():
        notes.append(f"{(~testable).sum()} factors have one level only: nothing to test.")
    values = {
        "statistic": np.where(testable, statistic, 0.0),
        "p_value": p_value,
        "degrees_of_freedom": freedom.astype(float),
    }
    return Tested(values, tuple(notes))


def pearson(tables: np.ndarray) -> np.ndarray:
    """Pearson's statistic of each table, shape (..., r, c) to (...); negative counts are zero."""
    # A tiny count in every cell keeps empty margins from dividing by zero.
    counts = np.maximum(tables, 0) + 1e-9
    total = counts.sum((-1, -2), keepdims=True)
    expected = counts.sum(-1, keepdims=True) * counts.sum(-2, keepdims=True) / total
    return ((counts - expected) ** 2 / expected).sum((-1, -2))


def noise_aware(tables: np.ndarray, variance: float) -> np.ndarray:
    """Pearson statistics that know of noise: each cell's square over its whole variance.

    Pearson's own divides by expected counts alone, which noise makes tiny where a row or column
    is rare: the statistic then hangs on a margin that nobody knows, and no simulated null fits
    it. With the noise's variance beside the expected count, such a cell weighs what it is worth.

    Parameters
    ----------
    tables
        Counts with noise, shape (..., r, c).
    variance
        Of the noise in each cell.

    References
    ----------
    .. [1] Kifer, Rogers, A New Class of Private Chi-Square Hypothesis Tests, AISTATS 2017,
       section 4 (weighting by the covariance of counts and noise together).
    """
    rows = np.maximum(tables.sum(-1, keepdims=True), 1.0)
    columns = np.maximum(tables.sum(-2, keepdims=True), 1.0)
    total = np.maximum(tables.sum((-1, -2), keepdims=True), np.maximum(rows, columns))
    expected = rows * columns / total
    return ((tables - expected) ** 2 / (expected + variance)).sum((-1, -2))


def _noisy(table: np.ndarray, noise: Noise, seed: int) -> Tested:
    rng = np.random.default_rng([seed, 5])
    rows, columns = (np.maximum(table.sum(axis), 0.5) for axis in (1, 0))
    people = max(1, round(float(table.sum())))
    likely = np.outer(rows / rows.sum(), columns / columns.sum())
    cells = rng.multinomial(people, likely.ravel(), NULL_DRAWS)
    null = cells.reshape(NULL_DRAWS, *table.shape) + _like(noise, (NULL_DRAWS, *table.shape), rng)
    found = noise_aware(table, noise.variance)
    p_value = (1 + int((noise_aware(null, noise.variance) >= found).sum())) / (NULL_DRAWS + 1)
    values = {"statistic": pearson(table), "p_value": np.array(p_value)}
    return Tested(
        values,
        (
            "p value from a Monte-Carlo null that carries the same noise, of a statistic that "
            "weighs each cell by its counts' and its noise's variance.",
        ),
    )


def _like(noise: Noise, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    if noise.mechanism == "gaussian":
        return rng.normal(scale=noise.deviation, size=shape)
    success = -np.expm1(-1 / noise.scale)
    first, second = (rng.negative_binomial(noise.terms, success, shape) for _ in range(2))
    return first - second


def _odds_ratio(table: np.ndarray) -> dict[str, float]:
    """Odds ratio and its 95 % interval (Woolf, with Haldane's 0.5 when a cell is empty)."""
    (a, b), (c, d) = table + (0.5 if (table == 0).any() else 0.0)
    ratio = a * d / (b * c)
    spread = np.exp(1.959964 * np.sqrt(1 / a + 1 / b + 1 / c + 1 / d))
    return {
        "odds_ratio": ratio,
        "odds_ratio_low": ratio / spread,
        "odds_ratio_high": ratio * spread,
    }
