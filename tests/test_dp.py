"""Differential privacy: noise, accountant, clipping, and tests that hold their level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from dp_accounting import GaussianDpEvent, LaplaceDpEvent, SelfComposedDpEvent
from dp_accounting.pld import PLDAccountant
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from studies import evaluated, public_of, records_of, spread

from petlab.algorithms.independence import independence
from petlab.core.claims import Guarantee
from petlab.core.contribution import Contribution, Noise
from petlab.core.party import CURATOR, Shard
from petlab.core.plan import Plan, Public
from petlab.core.release import Exposure
from petlab.core.rows import Dense
from petlab.core.session import Opening
from petlab.core.settings import Setting
from petlab.errors import OutOfRange, UsageError
from petlab.metering.accountant import (
    composed_multiplier,
    gaussian_delta,
    gaussian_epsilon,
    gaussian_multiplier,
)
from petlab.running import registry
from petlab.running.evaluator import evaluate
from petlab.running.result import Cell
from petlab.techniques.dp.calibration import Calibration, Settings
from petlab.techniques.dp.noise import NoiseStream, to_grid
from petlab.techniques.dp.release import NoiseRelease

DELTA = 1e-5


def guarded(task: str, program: str = "sums", dataset: str = "wdbc", **chosen: Setting) -> Any:
    """Result of a cell under a trusted curator."""
    return evaluated(Cell(task, program, "dp", dataset, settings=chosen))


def calibration(settings: Settings, plan: Plan) -> Calibration:
    """Noise of a plan at a trusted curator."""
    return Calibration(settings, plan, Exposure(places=(CURATOR,), contributions=True))


def curator(settings: Settings, plan: Plan) -> NoiseRelease:
    """The guard of a trusted curator."""
    return NoiseRelease(calibration(settings, plan))


def released(release: NoiseRelease, total: np.ndarray, contribution: Contribution) -> np.ndarray:
    """A total with the curator's noise."""
    return release.noisy(total, contribution, owners=1, grid=0.0)


# The accountant.


def independent_epsilon(multiplier: float, releases: int, delta: float) -> float:
    """Epsilon by Google's privacy loss distributions."""
    event = SelfComposedDpEvent(GaussianDpEvent(multiplier), releases)
    accountant = PLDAccountant(value_discretization_interval=5e-4)
    return accountant.compose(event).get_epsilon(delta)


@pytest.mark.parametrize(
    ("multiplier", "releases"),
    [(0.8, 1), (2.0, 1), (10.0, 1), (2.0, 8), (10.0, 8), (10.0, 200)],
)
def test_gaussian_epsilon_is_an_independent_accountants(multiplier: float, releases: int) -> None:
    """Within 2 %, for one release and for many together."""
    ours = gaussian_epsilon(composed_multiplier([multiplier] * releases), DELTA)
    theirs = independent_epsilon(multiplier, releases, DELTA)
    assert ours == pytest.approx(theirs, rel=0.02)


@pytest.mark.parametrize(("epsilon", "delta"), [(0.1, 1e-5), (1, 1e-6), (3, 1e-5), (8, 1e-8)])
def test_single_gaussian_release_is_tight(epsilon: float, delta: float) -> None:
    """delta is Balle and Wang's formula with scipy's normal distribution, to nine digits."""
    sigma = gaussian_multiplier(epsilon, delta)
    exact = stats.norm.cdf(1 / (2 * sigma) - epsilon * sigma) - np.exp(epsilon) * stats.norm.cdf(
        -1 / (2 * sigma) - epsilon * sigma
    )
    assert exact == pytest.approx(delta, rel=1e-6)
    assert gaussian_delta(sigma, epsilon) == pytest.approx(exact, rel=1e-9)


def test_published_noise_multiplier() -> None:
    """Sigma for (1, 1e-6) is 4.22."""
    assert gaussian_multiplier(1.0, 1e-6) == pytest.approx(4.22, abs=0.005)


@given(st.floats(0.05, 20), st.sampled_from([1e-9, 1e-6, 1e-3]), st.integers(1, 100))
def test_multiplier_and_epsilon_are_inverse(epsilon: float, delta: float, releases: int) -> None:
    """Noise for a wanted epsilon is accounted as that epsilon."""
    each = gaussian_multiplier(epsilon, delta, releases=releases)
    found = gaussian_epsilon(composed_multiplier([each] * releases), delta)
    assert found == pytest.approx(epsilon, rel=1e-5)


@pytest.mark.parametrize(
    ("task", "chosen"),
    [
        ("elm", {"epsilon": 2.0}),
        ("logreg", {"epsilon": 3.0}),
        ("logreg", {"epsilon": 0.5, "delta": 1e-6, "iterations": 20, "method": "gradient"}),
        ("logreg", {"epsilon": 1.0, "method": "quadratic"}),
        ("chi2", {"epsilon": 1.0, "mechanism": "gaussian"}),
    ],
)
def test_printed_gaussian_epsilon_is_that_of_the_noise_added(
    task: str, chosen: dict[str, Setting]
) -> None:
    """Accounted anew by privacy loss distributions, from the noise that the program saw."""
    found = registry.find_task(task)
    own = {k: v for k, v in chosen.items() if k in found.settings.__dataclass_fields__}
    guard = {k: v for k, v in chosen.items() if k not in own}
    config = found.settings(**own)
    records = records_of(task, "wdbc", config)
    plan = found.programs["sums"].plan(config, public_of(records, 2))
    technique = registry.find_technique("dp", guard)
    seen: list[float] = []
    release = technique.release(plan)
    draw = release._stream.gaussian

    def watched(deviation: float, count: int) -> np.ndarray:
        seen.append(deviation)
        return draw(deviation, count)

    norms: list[float] = []
    noisy = release.noisy

    def noted(total: np.ndarray, contribution: Contribution, **rest: Any) -> np.ndarray:
        norms.append(contribution.unit_norm or 0.0)
        return noisy(total, contribution, **rest)

    release._stream.gaussian, release.noisy = watched, noted
    run = technique.execute(found.programs["sums"], Opening(spread(records, 2), plan, 0, release))
    assert len(seen) == plan.releases
    multipliers = np.array(seen) / np.array(norms)
    np.testing.assert_allclose(multipliers, multipliers[0])
    theirs = independent_epsilon(multipliers[0], len(seen), run.guarantee.delta)
    assert run.guarantee.epsilon == pytest.approx(theirs, rel=0.02)
    assert run.guarantee.epsilon == pytest.approx(chosen["epsilon"], rel=1e-6)


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 4.0])
def test_printed_laplace_epsilon_is_that_of_the_noise_added(epsilon: float) -> None:
    """Pure epsilon, no delta; the privacy loss distribution of this scale agrees."""
    found = calibration(Settings(epsilon=epsilon), plan_of(1, counts=True))
    release, contribution = NoiseRelease(found), counts_contribution()
    scales: list[float] = []
    draw = release._stream.discrete_laplace

    def watched(scale: float, count: int) -> np.ndarray:
        scales.append(scale)
        return draw(scale, count)

    release._stream.discrete_laplace = watched  # type: ignore[method-assign]
    released(release, np.zeros(4), contribution)
    assert scales == [pytest.approx(1 / epsilon)]
    noise = release.account(contribution, owners=1, grid=0.0)
    assert noise == Noise("laplace", scales[0])
    event = LaplaceDpEvent(1 / epsilon)
    # At delta 0 a privacy loss distribution that is cut off anywhere says infinity.
    theirs = PLDAccountant(value_discretization_interval=1e-4).compose(event).get_epsilon(1e-9)
    assert found.epsilon == pytest.approx(theirs, rel=0.02)
    assert found.delta == 0.0


def test_unused_releases_are_not_refunded() -> None:
    """A program that stops early has still been told when to stop by the data."""
    release = curator(Settings(epsilon=1.0, mechanism="gaussian"), plan_of(10))
    released(release, np.zeros(4), counts_contribution())
    release.account(counts_contribution(), owners=1, grid=0.0)
    assert release.guarantee(NOTHING, aggregator="aggregator").epsilon == pytest.approx(
        1.0, rel=1e-6
    )


# The noise.


@pytest.mark.parametrize("scale", [0.3, 1.0, 10.0])
def test_discrete_laplace_has_its_distribution(scale: float) -> None:
    """Chi-squared against scipy's dlaplace over the cells that hold enough draws."""
    drawn = NoiseStream(1).discrete_laplace(scale, 200_000)
    assert np.array_equal(drawn, np.rint(drawn))
    law = stats.dlaplace(1 / scale)
    reach = int(law.ppf(0.9999))
    values = np.arange(-reach, reach + 1)
    observed = np.array([(drawn == v).sum() for v in values])
    expected = law.pmf(values) * len(drawn)
    rest = len(drawn) - observed.sum(), len(drawn) * (1 - law.pmf(values).sum())
    found = stats.chisquare([*observed, rest[0]], [*expected, rest[1]])
    assert found.pvalue > 1e-3
    wrong = stats.dlaplace(1 / (1.05 * scale)).pmf(values)
    away = [*(wrong * len(drawn)), len(drawn) * (1 - wrong.sum())]
    assert stats.chisquare([*observed, rest[0]], away).pvalue < 1e-3  # 5 % off is noticed


@pytest.mark.parametrize("deviation", [0.01, 1.0, 300.0])
def test_gaussian_noise_has_its_distribution(deviation: float) -> None:
    """Kolmogorov-Smirnov against the normal distribution, on the grid it is released on."""
    drawn = NoiseStream(2).gaussian(deviation, 100_001)
    assert len(drawn) == 100_001
    assert stats.kstest(drawn / deviation, "norm").pvalue > 1e-3
    assert stats.kstest(to_grid(drawn, deviation) / deviation, "norm").pvalue > 1e-3
    assert stats.kstest(1.03 * drawn / deviation, "norm").pvalue < 1e-3  # 3 % off is noticed


def test_gaussian_draws_are_independent() -> None:
    """The two halves of each Box-Muller pair, and neighbours, do not correlate."""
    drawn = NoiseStream(3).gaussian(1.0, 100_000)
    for lag in (1, 50_000):
        assert abs(np.corrcoef(drawn[:-lag], drawn[lag:])[0, 1]) < 5 / np.sqrt(50_000)
    assert abs(np.corrcoef(drawn[:50_000] ** 2, drawn[50_000:] ** 2)[0, 1]) < 5 / np.sqrt(50_000)


def test_uniform_draws_never_make_an_infinite_sample() -> None:
    """In (0, 1], so that their logarithm is finite."""
    drawn = NoiseStream(4).uniform(100_000)
    assert drawn.min() > 0
    assert drawn.max() <= 1
    assert stats.kstest(drawn, "uniform").pvalue > 1e-3


def test_released_totals_lie_on_the_public_grid() -> None:
    """The low bits of a released number do not depend on the data."""
    contribution = gaussian_contribution()
    release = curator(Settings(epsilon=1.0), plan_of(1))
    value = released(release, np.array([np.pi, 1e-9, 12345.678, -0.1]), contribution)
    noise = release.account(contribution, owners=1, grid=0.0)
    assert noise is not None
    step = 2.0 ** (np.floor(np.log2(noise.scale)) - 20)
    np.testing.assert_array_equal(value / step, np.rint(value / step))


def test_noise_differs_from_run_to_run() -> None:
    """The seed of the study does not fix it."""
    cell = Cell("chi2", "sums", "dp", "heart", settings={"epsilon": 0.1})
    tables = [np.array(evaluate(cell).answer["table"]) for _ in range(2)]
    assert (tables[0] != tables[1]).any()


def test_insecure_seed_repeats_the_noise_and_is_named() -> None:
    """Repeatable noise is no protection, and the guarantee says so."""
    chosen: dict[str, Setting] = {"epsilon": 0.1, "insecure_seed": 7}
    cell = Cell("chi2", "sums", "dp", "heart", settings=chosen)
    first, second = evaluate(cell), evaluate(cell)
    assert first.answer["table"] == second.answer["table"]
    assert first.guarantee is not None
    assert "insecure_seed" in first.guarantee.not_protected
    usual = guarded("chi2", dataset="heart").guarantee
    assert "insecure_seed" not in usual.not_protected


# Clipping and sensitivity.


NOTHING = Guarantee(kind="none", protects="Nothing.", not_protected="All.")


def plan_of(releases: int, observed: tuple[str, ...] = (), *, counts: bool = False) -> Plan:
    """A plan of so many releases."""
    public = Public(observed=observed)
    return Plan(None, public, releases=releases, counts=counts, shapes={"x": (4,)})


def nothing(state: Any, shard: Shard, memory: Any) -> Dense:
    """Never called here."""
    return Dense(np.zeros((0, 4)))


def counts_contribution() -> Contribution:
    """Integer counts with both norms."""
    return Contribution(
        fn=nothing, shape=(4,), unit_norm=1.0, unit_norm_l1=1.0, coordinate_max=1.0, integer=True
    )


def gaussian_contribution(on_excess: Any = "clip") -> Contribution:
    """Reals of Euclidean norm at most two."""
    return Contribution(
        fn=nothing, shape=(4,), unit_norm=2.0, coordinate_max=2.0, on_excess=on_excess
    )


def test_clipping_scales_long_rows_down_and_leaves_short_ones() -> None:
    """Direction kept, norm at the bound."""
    rows = np.array([[3.0, 4.0, 0, 0], [0.1, 0.2, 0, 0], [0, 0, 0, -8.0]])
    release = curator(Settings(), plan_of(1))
    total = release.clipped_total(Dense(rows), gaussian_contribution())
    np.testing.assert_allclose(total, [1.2 + 0.1, 1.6 + 0.2, 0, -2])


def test_contribution_may_refuse_what_others_clip() -> None:
    """`on_excess="refuse"` releases nothing."""
    release = curator(Settings(), plan_of(1))
    with pytest.raises(OutOfRange, match="nothing was released"):
        release.clipped_total(Dense(np.full((1, 4), 9.0)), gaussian_contribution("refuse"))


@given(st.integers(1, 8), st.integers(0, 9999), st.floats(0.01, 1000))
def test_one_record_moves_a_clipped_total_by_its_bound_at_most(
    count: int, seed: int, size: float
) -> None:
    """Whatever the rows are: adding or removing one unit is what epsilon speaks of."""
    rows = np.random.default_rng(seed).normal(scale=size, size=(count, 4))
    release = curator(Settings(), plan_of(1))
    contribution = gaussian_contribution()
    whole = release.clipped_total(Dense(rows), contribution)
    for k in range(count):
        rest = release.clipped_total(Dense(np.delete(rows, k, axis=0)), contribution)
        assert np.linalg.norm(whole - rest) <= 2.0 * (1 + 1e-9)


def asked_for(task: str, config: Any, records: Any) -> list[tuple[Contribution, Any]]:
    """Contributions and states that a task's program asks one owner for."""
    asked: list[tuple[Contribution, Any]] = []
    program = registry.find_task(task).programs["sums"]
    plan = program.plan(config, public_of(records, 1))
    session = registry.find_technique("cleartext").open(Opening(spread(records, 1), plan))
    total = session.sum

    def watched(contribution: Contribution, state: Any = None, **rest: Any) -> Any:
        asked.append((contribution, dict(state or {})))
        return total(contribution, state, **rest)

    session.sum = watched  # type: ignore[method-assign]
    program(session, plan)
    return asked


CONTRIBUTING = [
    ("chi2", {}, "wdbc"),
    ("chi2", {}, "heart"),
    ("elm", {"hidden": 12, "clip_share": 1.0}, "wdbc"),
    ("elm", {"hidden": 12, "clip_share": 1.0}, "digits"),
    ("logreg", {"method": "newton", "clip_share": 1.0}, "wdbc"),
    ("logreg", {"method": "newton", "clip_share": 1.0}, "digits"),
    ("logreg", {"method": "gradient", "clip_share": 1.0}, "heart"),
    ("logreg", {"method": "quadratic", "clip_share": 1.0}, "heart"),
    ("logreg", {"method": "quadratic", "clip_share": 1.0}, "digits"),
]


@pytest.mark.parametrize(("task", "chosen", "dataset"), CONTRIBUTING)
def test_one_record_moves_a_contribution_by_its_declared_norm_at_most(
    task: str, chosen: dict[str, Setting], dataset: str
) -> None:
    """Each program's own rows, real records and the worst the card allows, unclipped.

    With all of the bound as clipping norm, clipping changes nothing: the declared bounds
    are true of every record that the card allows.
    """
    config = registry.find_task(task).settings(**chosen)
    records = worst_and_real(records_of(task, dataset, config, rows=40))
    shard = spread(records, 1)[0]
    asked = asked_for(task, config, records)
    assert asked
    for contribution, state in asked[:3]:
        arrays = {name: np.asarray(value) for name, value in state.items()}
        whole = contribution.fn(arrays, shard, {}).total()
        for k in range(0, shard.rows, 3):
            less = shard.take(np.delete(np.arange(shard.rows), k))
            moved = whole - contribution.fn(arrays, less, {}).total()
            assert contribution.unit_norm is not None
            assert np.linalg.norm(moved) <= contribution.unit_norm * (1 + 1e-9)
            assert np.abs(moved).max() <= contribution.coordinate_max * (1 + 1e-9)
            if contribution.unit_norm_l1 is not None:
                assert np.abs(moved).sum() <= contribution.unit_norm_l1 * (1 + 1e-9)


def worst_and_real(records: Any) -> Any:
    """Records whose first two numbers-only features stand at the ends of their ranges."""
    if "features" not in records.arrays:
        return records
    features = records["features"].copy()
    numeric = [k for k, name in enumerate(records.public.features) if "=" not in name]
    features[0, numeric], features[3, numeric] = 1.0, -1.0
    return replace(records, arrays={**records.arrays, "features": features})


def test_clip_only_twin_adds_no_noise_and_claims_nothing() -> None:
    """It tells clipping's loss from the noise's, and is marked as no protection."""
    twin = guarded("chi2", twin="clip-only")
    plain = evaluated(Cell("chi2", "sums", "cleartext", "wdbc"))
    assert twin.answer["table"] == plain.answer["table"]
    assert twin.guarantee.epsilon is None
    assert twin.guarantee.delta is None
    assert twin.guarantee.kind == "none"
    assert "Everything that is opened" in twin.guarantee.not_protected
    assert "twin, for comparison only" in twin.guarantee.protects
    assert twin.guarantee.mechanism == "clip-only"


@pytest.mark.parametrize("task", ["elm", "logreg"])
def test_noise_costs_more_than_clipping(task: str) -> None:
    """At a small epsilon on few records the twin is good and the private run is not."""
    twin = guarded(task, epsilon=0.02, twin="clip-only")
    noisy = guarded(task, epsilon=0.02, insecure_seed=7)
    assert twin.quality["auc"].value > 0.95
    assert noisy.quality["auc"].value < twin.quality["auc"].value - 0.02


def test_observed_ranges_are_named_as_not_protected() -> None:
    """A range that was read off the data is not covered by epsilon."""
    release = curator(Settings(), plan_of(1, observed=("age", "income")))
    released(release, np.zeros(4), counts_contribution())
    assert "age, income" in release.guarantee(NOTHING, aggregator="aggregator").not_protected


@pytest.mark.parametrize(
    "chosen",
    [
        {"epsilon": 0.0},
        {"epsilon": -1.0},
        {"epsilon": float("inf")},
        {"epsilon": float("nan")},
        {"delta": 0.0},
        {"delta": 1.0},
        {"mechanism": "gauss"},
        {"mechanism": "laplace"},
        {"twin": "yes"},
        {"epsilom": 1.0},
        {"epsilon": "much"},
    ],
)
def test_bad_settings_are_refused(chosen: dict[str, Setting]) -> None:
    """Before anything is released: a wrong epsilon is worse than no result."""
    with pytest.raises(UsageError):
        evaluate(Cell("elm", "sums", "dp", "wdbc", settings=chosen))


# Tests of independence on noisy counts.


def null_tables(shape: tuple[int, int], people: int, count: int) -> np.ndarray:
    """Tables in which rows and columns are independent."""
    rng = np.random.default_rng(42)
    rows, columns = np.arange(2.0, 2 + shape[0]), np.arange(3.0, 3 + shape[1])
    p = np.outer(rows / rows.sum(), columns / columns.sum()).ravel()
    return rng.multinomial(people, p, count).reshape(count, *shape)


def rejections(
    tables: np.ndarray, noise: Noise, p_value: Callable[[np.ndarray, int], float]
) -> float:
    """Share of tables on which a nominal 5 % test rejects, after noise."""
    stream, found = NoiseStream(11), 0
    for k, table in enumerate(tables):
        drawn = (
            stream.discrete_laplace(noise.scale, table.size)
            if noise.mechanism == "laplace"
            else stream.gaussian(noise.scale, table.size)
        )
        found += p_value(table + drawn.reshape(table.shape), k) < 0.05
    return found / len(tables)


def naive(table: np.ndarray, seed: int) -> float:
    """What an analyst gets who forgets that the counts carry noise."""
    counts = np.maximum(table, 0) + 1e-9
    return float(stats.chi2_contingency(counts, correction=False).pvalue)


@pytest.mark.slow
@pytest.mark.parametrize("epsilon", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(2, 2), (3, 4)])
def test_private_chi2_holds_its_level(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int], epsilon: float
) -> None:
    """Type-I error at 5 % over 1,000 null tables, within three binomial standard errors."""
    monkeypatch.setattr("petlab.algorithms.independence.NULL_DRAWS", 999)
    noise = Noise("laplace", 1 / epsilon)

    def private(table: np.ndarray, seed: int) -> float:
        return float(independence(table, noise=noise, seed=seed).values["p_value"])

    share = rejections(null_tables(shape, 569, 1000), noise, private)
    assert share <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1000)
    assert share >= 0.05 - 4 * np.sqrt(0.05 * 0.95 / 1000)


@pytest.mark.parametrize(("shape", "at_least"), [((2, 2), 0.15), ((3, 4), 0.5)])
def test_naive_chi2_on_noisy_counts_does_not_hold_its_level(
    shape: tuple[int, int], at_least: float
) -> None:
    """The test above can fail: the plain p value rejects far too often at epsilon 0.1."""
    assert rejections(null_tables(shape, 569, 300), Noise("laplace", 10.0), naive) > at_least


def test_gaussian_noise_is_tested_against_its_own_null(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other mechanism holds the level too."""
    monkeypatch.setattr("petlab.algorithms.independence.NULL_DRAWS", 499)
    noise = Noise("gaussian", 10.0)

    def private(table: np.ndarray, seed: int) -> float:
        return float(independence(table, noise=noise, seed=seed).values["p_value"])

    share = rejections(null_tables((2, 3), 2000, 400), noise, private)
    assert share <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)
    assert share > 0.005


SPARSE = {
    "a level of 2 % and a class of 10 %": (200, [0.9, 0.1], [0.02, 0.28, 0.7]),
    "six levels, a class of 10 %": (200, [0.9, 0.1], [0.02, 0.08, 0.1, 0.2, 0.3, 0.3]),
    "a disease of 2 %": (1000, [0.98, 0.02], [0.3, 0.3, 0.4]),
    "both of 5 %": (200, [0.95, 0.05], [0.95, 0.05]),
    "one in a hundred twice": (5000, [0.99, 0.01], [0.01, 0.49, 0.5]),
}
NOISES = {
    "curator .1": Noise("laplace", 10.0),
    "curator 1": Noise("laplace", 1.0),
    "owners 1": Noise("laplace", 1.0, terms=1.5),
    "gaussian 1": Noise("gaussian", 3.73),
}


@pytest.mark.slow
@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
@pytest.mark.parametrize("design", SPARSE.values(), ids=SPARSE)
def test_private_chi2_holds_its_level_on_sparse_tables(
    monkeypatch: pytest.MonkeyPatch, design: tuple, noise: Noise
) -> None:
    """Where margins are drowned by noise: rare levels, rare diseases, few people."""
    monkeypatch.setattr("petlab.algorithms.independence.NULL_DRAWS", 399)
    people, rows, columns = design
    rng = np.random.default_rng(8)
    shape = (len(rows), len(columns))
    tables = rng.multinomial(people, np.outer(rows, columns).ravel(), 600).reshape(600, *shape)

    def drawn() -> np.ndarray:
        if noise.mechanism == "gaussian":
            return rng.normal(scale=noise.scale, size=shape)
        success = 1 - np.exp(-1 / noise.scale)
        first, second = (rng.negative_binomial(noise.terms, success, shape) for _ in range(2))
        return first - second

    p_values = [
        float(independence(table + drawn(), noise=noise, seed=k).values["p_value"])
        for k, table in enumerate(tables)
    ]
    assert np.mean(np.array(p_values) < 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 600)


def test_private_chi2_still_finds_a_strong_association() -> None:
    """A test that never rejects would hold any level."""
    p_values = [
        guarded("chi2", dataset="heart", epsilon=0.5, insecure_seed=seed).answer["p_value"]
        for seed in range(5)
    ]
    assert np.mean(np.array(p_values) < 0.05) >= 0.8


@pytest.mark.slow
def test_private_logreg_on_taiwan_loses_little() -> None:
    """At epsilon 3, under 0.02 AUC on average."""
    losses = []
    for seed in range(5):
        auc = guarded("logreg", dataset="taiwan_default", epsilon=3.0, insecure_seed=seed).quality[
            "auc"
        ]
        losses.append(auc.reference - auc.value)
    assert np.mean(losses) < 0.02
    assert np.max(losses) < 0.04
