"""Noise that owners add in shares: what is released has all of it, after every rounding.

The distributions are those of the whole path: each owner's total goes through its release, and
what is opened is the sum. They are held against formulas and convolutions made here.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal, stats

from petlab.core.claims import Guarantee
from petlab.core.contribution import Contribution
from petlab.core.party import OWNERS
from petlab.core.plan import Plan, Public
from petlab.core.release import Exposure
from petlab.core.rows import Dense
from petlab.core.settings import Setting
from petlab.deciding import decide, parse_requirements
from petlab.errors import UsageError
from petlab.metering.accountant import gaussian_multiplier
from petlab.running.budget import Budget
from petlab.running.evaluator import evaluate
from petlab.running.result import Cell, Status
from petlab.techniques.dp import noise as noise_module
from petlab.techniques.dp.calibration import DELTA_MAX, GRID_STEPS, Calibration, Settings
from petlab.techniques.dp.release import NoiseRelease

CELLS = 20_000
HIDDEN = Exposure(places=(OWNERS,), contributions=False)


def nothing(state: dict, shard: object, memory: dict) -> Dense:
    """No unit at all: what is opened is the noise."""
    return Dense(np.zeros((0, CELLS)))


def shared(*, counts: bool = True, **chosen: Setting) -> NoiseRelease:
    """Noise in shares for one release of many cells."""
    plan = Plan(None, Public(), releases=1, counts=counts, shapes={"t": (CELLS,)})
    return NoiseRelease(Calibration(Settings(**chosen), plan, HIDDEN))  # type: ignore[arg-type]


def contribution(*, integer: bool = True) -> Contribution:
    """Counts to which a unit adds one."""
    return Contribution(
        fn=nothing,
        shape=(CELLS,),
        unit_norm=1.0,
        unit_norm_l1=1.0,
        coordinate_max=1.0,
        integer=integer,
    )


def opened(release: NoiseRelease, owners: int, honest: int, *, grid: float = 1.0) -> np.ndarray:
    """What is left of the noise in a sum when the others took theirs off."""
    made = contribution()
    return np.sum(
        [release.noisy(np.zeros(CELLS), made, owners=owners, grid=grid) for _ in range(honest)],
        axis=0,
    )


def share_distribution(scale: float, shares: int) -> np.ndarray:
    """Probabilities of one share, centred, from the very table that is drawn from."""
    ends = noise_module._negative_binomial(1 / shares, float(np.exp(-1 / scale)))
    single = np.diff(np.r_[0.0, ends])
    return signal.fftconvolve(single, single[::-1]).clip(0)


def folded(single: np.ndarray, times: int, width: int) -> np.ndarray:
    """Distribution of a sum of independent draws, centred, `width` to either side."""
    size = 1 << int(np.ceil(np.log2(2 * width + len(single))))
    centred = np.zeros(size)
    half = len(single) // 2
    keep = min(half, size // 2 - 1)
    centred[np.arange(-keep, keep + 1)] = single[half - keep : half + keep + 1]
    total = np.fft.ifft(np.fft.fft(centred) ** times).real
    return total[np.arange(-width, width + 1)]


@pytest.mark.parametrize("owners", [2, 3, 10, 50, 100, 300])
@pytest.mark.parametrize("epsilon", [0.1, 1.0, 3.0, 10.0])
def test_shares_of_counts_add_up_to_the_epsilon_claimed(owners: int, epsilon: float) -> None:
    """The honest owners' noise together is discrete Laplace: no ratio is above exp(epsilon)."""
    honest = owners - 1
    width = int(12 / epsilon) + 2  # beyond, probabilities are smaller than what they are made of
    total = folded(share_distribution(1 / epsilon, honest), honest, width)
    k = np.abs(np.arange(-width, width + 1))
    exact = np.tanh(epsilon / 2) * np.exp(-epsilon * k)
    np.testing.assert_allclose(total, exact, atol=1e-13)
    likely = exact > 1e-8
    loss = np.abs(np.diff(np.log(total[likely])))
    assert loss.max() <= epsilon * (1 + 1e-4)


@pytest.mark.parametrize("owners", [2, 50, 300])
def test_what_is_opened_has_that_distribution(owners: int) -> None:
    """Drawn, added and rounded as in a run; the seed makes it the same every time."""
    epsilon = 1.0
    found = opened(shared(epsilon=epsilon, insecure_seed=3), owners, owners - 1)
    assert np.array_equal(found, np.rint(found))
    k = np.arange(-6, 7)
    expected = np.tanh(epsilon / 2) * np.exp(-epsilon * np.abs(k))
    counts = np.array([(found == value).sum() for value in k])
    rest = CELLS - counts.sum()
    outcome = stats.chisquare([*counts, rest], [*(expected * CELLS), CELLS * (1 - expected.sum())])
    assert outcome.pvalue > 1e-3


def test_gaussian_shares_that_rounding_would_swallow_are_refused() -> None:
    """Fifty owners at epsilon 10 once gave exact answers: each share was rounded to nothing."""
    release = shared(mechanism="gaussian", epsilon=10.0)
    with pytest.raises(UsageError, match="hide too little"):
        release.noisy(np.zeros(CELLS), contribution(), owners=50, grid=1.0)


def hockey_stick_epsilon(deviation: float, terms: int, shift: int, delta: float) -> float:
    """Exact epsilon of a sum of rounded Gaussians of a deviation in steps, for a shift in steps."""
    reach = int(12 * deviation * np.sqrt(terms)) + 2 * shift
    k = np.arange(-int(12 * deviation) - 1, int(12 * deviation) + 2)
    single = stats.norm.cdf((k + 0.5) / deviation) - stats.norm.cdf((k - 0.5) / deviation)
    p = folded(single, terms, reach).clip(0)
    one, other = np.r_[p, np.zeros(shift)], np.r_[np.zeros(shift), p]
    low, high = 0.0, 80.0
    for _ in range(60):
        middle = (low + high) / 2
        found = max(
            np.maximum(one - np.exp(middle) * other, 0).sum(),
            np.maximum(other - np.exp(middle) * one, 0).sum(),
        )
        low, high = (middle, high) if found > delta else (low, middle)
    return high


@pytest.mark.parametrize("owners", [2, 3, 10, 50, 300])
@pytest.mark.parametrize("epsilon", [0.1, 1.0, 3.0, 10.0])
def test_sums_of_rounded_gaussians_keep_the_epsilon_claimed(owners: int, epsilon: float) -> None:
    """At the coarsest grid that is let through, and a unit that moves the sum by its whole norm."""
    delta, honest = 1e-5, owners - 1
    multiplier = gaussian_multiplier(epsilon, delta)
    # Steps such that a share's deviation is just above what is refused.
    shift = int(np.ceil(GRID_STEPS * np.sqrt(honest) / multiplier))
    deviation = multiplier * shift / np.sqrt(honest)
    assert deviation >= GRID_STEPS
    assert hockey_stick_epsilon(deviation, honest, shift, delta) <= epsilon * 1.001


def test_the_check_of_rounded_gaussians_can_fail() -> None:
    """Shares of a quarter of a step lose nearly all privacy."""
    multiplier = gaussian_multiplier(3.0, 1e-5)
    assert hockey_stick_epsilon(multiplier / np.sqrt(99), 99, 1, 1e-5) > 4.5


@pytest.mark.parametrize("technique", ["he+dp", "mpc+dp", "fl+he+dp"])
def test_shared_counts_are_laplace_without_delta(technique: str) -> None:
    """Encrypted or shared, counts cost no delta, and whoever reads knows which noise they carry."""
    result = evaluate(Cell("chi2", "sums", technique, "heart", settings={"epsilon": 1.0}))
    assert result.status is Status.OK, result.reason
    guarantee = result.guarantee
    assert guarantee is not None
    assert guarantee.delta == 0
    assert guarantee.epsilon == pytest.approx(1.0)
    assert "shares of discrete Laplace" in guarantee.mechanism
    table = np.array(result.answer["table"])
    assert np.array_equal(table, np.rint(table))


def test_a_curators_and_owners_noise_are_described_by_their_variance() -> None:
    """Three owners of whom two suffice add half as much again."""
    release = shared(epsilon=0.5, insecure_seed=9)
    found = opened(release, 3, 3)
    noise = release.account(contribution(), owners=3, grid=1.0)
    assert noise is not None
    assert noise.terms == 1.5
    assert found.var() == pytest.approx(noise.variance, rel=0.1)


# Noise and the bound that it is checked against.


@pytest.mark.parametrize("technique", ["he+dp", "mpc+dp"])
@pytest.mark.parametrize(("task", "chosen"), [("elm", {"hidden": 6}), ("chi2", {})])
def test_noise_has_room_at_small_epsilon(technique: str, task: str, chosen: dict) -> None:
    """However large it is, it is no excess of a bound on the records."""
    settings = {"epsilon": 1e-5, "records_max": 1000, **chosen}
    result = evaluate(Cell(task, "sums", technique, "heart", settings=settings))
    assert result.status is Status.OK, result.reason


def test_noise_is_within_its_room() -> None:
    """Of twenty thousand draws none comes near the bound, and most come within a twelfth."""
    release = shared(epsilon=0.1, insecure_seed=4)
    room = release.headroom(contribution(), owners=3, grid=1.0)
    drawn = np.abs(release.noisy(np.zeros(CELLS), contribution(), owners=3, grid=1.0))
    assert drawn.max() < room / 2
    assert np.quantile(drawn, 0.9) < room / 12


# Noise that anybody can repeat.


def test_seeded_noise_has_no_epsilon() -> None:
    """It can be subtracted: a twin, for comparison only."""
    result = evaluate(
        Cell("chi2", "sums", "dp", "heart", settings={"epsilon": 0.1, "insecure_seed": 1})
    )
    guarantee = result.guarantee
    assert isinstance(guarantee, Guarantee)
    assert guarantee.epsilon is None
    assert guarantee.kind == "none"
    assert "insecure_seed" in guarantee.not_protected


def test_seeded_noise_is_neither_budgeted_nor_released_nor_chosen(tmp_path) -> None:
    """Whoever asks for an epsilon does not get one that nobody has."""
    cell = Cell("chi2", "sums", "dp", "heart", settings={"epsilon": 0.1, "insecure_seed": 1})
    budget = Budget.create(tmp_path / "b.json", dataset="heart", epsilon=1.0)
    with pytest.raises(UsageError, match="without differential privacy"):
        evaluate(cell, budget=budget)
    assert budget.spent == ()
    plain = Cell("chi2", "sums", "cleartext", "heart")
    decision = decide([evaluate(plain), evaluate(cell)], parse_requirements("epsilon<=0.1"))
    assert "nothing that was measured meets all constraints" in repr(decision).lower()
    anything = decide([evaluate(plain), evaluate(cell)], parse_requirements("rounds<=100"))
    assert [judged for question in anything.questions for judged in question.judged] == []


@pytest.mark.parametrize(
    "chosen",
    [
        {"delta": 0.5},
        {"delta": 0.999},
        {"delta": DELTA_MAX * 1.01},
        {"delta": float("nan")},
        {"epsilon": float("nan")},
        {"epsilon": float("inf")},
        {"noise_multiplier": float("inf")},
        {"noise_multiplier": float("nan")},
    ],
)
def test_senseless_parameters_are_refused(chosen: dict[str, Setting]) -> None:
    """A delta of a half publishes every second record."""
    with pytest.raises(UsageError):
        evaluate(Cell("chi2", "sums", "dp", "heart", settings=chosen))
