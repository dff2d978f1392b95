"""The audit's bound is valid, and catches noise that is missing."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.stats import binom

from petlab.attacks.canaries import OVERFITTING, Audit, audit, lower_bound, p_value
from petlab.attacks.canaries.bound import best_bound
from petlab.attacks.canaries.run import plant
from petlab.core.plan import Public
from petlab.core.rows import Rows
from petlab.core.task import Records
from petlab.errors import DataError, UsageError
from petlab.running.evaluator import evaluate
from petlab.running.result import Cell
from petlab.techniques.dp import release as dp_release
from petlab.techniques.dp.noise import NoiseStream

pytestmark = pytest.mark.slow  # together they would take half of `make check`

QUICK = {**OVERFITTING, "hidden": "4", "epochs": 1}


def cell(technique: str, **settings: object) -> Cell:
    """A cell of `deep` on digits that overfits."""
    return Cell("deep", technique=technique, dataset="digits", settings={**OVERFITTING, **settings})


def toy_records(count: int = 40, classes: int = 4) -> Records:
    """Records whose feature is their number."""
    labels = np.arange(count) % classes
    arrays = {"features": np.arange(count, dtype=float)[:, None], "classes": labels}
    return Records(arrays, Public(("number",), 1.0, classes), labels)


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 1.0, 4.0])
@pytest.mark.parametrize(("guesses", "correct"), [(20, 0), (20, 13), (100, 71), (100, 100)])
def test_without_delta_the_p_value_is_a_binomial_tail(epsilon, guesses, correct):
    """Proposition 5.1, summed up term by term."""
    chance = np.exp(epsilon) / (np.exp(epsilon) + 1)
    tail = sum(binom.pmf(k, guesses, chance) for k in range(correct, guesses + 1))
    assert p_value(1000, guesses, correct, epsilon, 0.0) == pytest.approx(tail, abs=1e-12)


@pytest.mark.parametrize(("m", "r", "v", "epsilon", "delta"), [(50, 20, 15, 1.0, 1e-3)])
def test_delta_adds_the_steepest_average_slope_below_the_tail(m, r, v, epsilon, delta):
    """Theorem 5.2 by brute force over i = 1..m."""
    chance = 1 / (1 + np.exp(-epsilon))
    below = [
        sum(binom.pmf(k, r, chance) for k in range(max(0, v - i), v)) / i for i in range(1, m + 1)
    ]
    expected = binom.sf(v - 1, r, chance) + 2 * m * delta * max(below)
    assert p_value(m, r, v, epsilon, delta) == pytest.approx(expected, rel=1e-9)


def test_p_values_grow_with_epsilon_delta_and_canaries_and_fall_with_right_guesses():
    """More privacy loss allows more; more right guesses are rarer."""
    grid = np.linspace(0, 6, 61)
    for correct in range(50, 101, 5):
        values = [p_value(500, 100, correct, epsilon, 1e-5) for epsilon in grid]
        assert np.all(np.diff(values) >= -1e-12)
    rarer = [p_value(500, 100, correct, 1.0, 1e-5) for correct in range(60, 101)]
    assert np.all(np.diff(rarer) <= 1e-12)
    assert p_value(500, 100, 90, 1.0, 1e-4) > p_value(500, 100, 90, 1.0, 1e-5)
    assert p_value(900, 100, 90, 1.0, 1e-4) > p_value(500, 100, 90, 1.0, 1e-4)


def test_the_bound_is_where_the_p_value_reaches_the_error():
    """And zero when half of the guesses are right."""
    found = lower_bound(500, 100, 90, delta=1e-5)
    assert p_value(500, 100, 90, found, 1e-5) == pytest.approx(0.05, abs=1e-4)
    assert lower_bound(500, 100, 50, delta=1e-5) == 0.0
    assert lower_bound(500, 100, 100, delta=0.0) == pytest.approx(
        -np.log(0.05 ** (-1 / 100) - 1), abs=1e-4
    )


def test_a_useless_delta_refutes_nothing():
    """At delta 1 everything is private."""
    assert lower_bound(500, 100, 100, delta=1.0) == 0.0


@pytest.mark.parametrize("epsilon", [0.5, 1.0, 2.0])
def test_randomised_response_is_refuted_in_at_most_one_run_of_twenty(epsilon):
    """Its epsilon is known, and no mechanism of that epsilon leaks more."""
    rng, runs, canaries = np.random.default_rng(7), 600, 200
    chance, over, found = 1 / (1 + np.exp(-epsilon)), 0, []
    bound = cache(lambda correct: lower_bound(canaries, canaries, correct, delta=0.0))
    for _ in range(runs):
        coins = rng.random(canaries) < 0.5
        answers = np.where(rng.random(canaries) < chance, coins, ~coins)
        correct = int((answers == coins).sum())
        found.append(bound(correct))
        over += found[-1] > epsilon
    assert over / runs <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / runs)
    assert np.median(found) > epsilon / 3, "a bound that is always zero is valid, and useless"


def test_choosing_among_shares_is_paid_for():
    """Losses that say nothing yield a positive bound in at most one run of twenty."""
    rng, runs, positive = np.random.default_rng(8), 300, 0
    for _ in range(runs):
        coins = rng.random(300) < 0.5
        positive += best_bound(rng.random(300), coins, delta=0.0)[0] > 0
    assert positive / runs <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / runs)


def test_losses_of_a_known_mechanism_stay_under_its_epsilon():
    """A Laplace score per canary is pure-epsilon private: the chosen best bound is valid."""
    rng, epsilon, over = np.random.default_rng(9), 1.0, 0
    for _ in range(150):
        coins = rng.random(400) < 0.5
        losses = -coins.astype(float) + rng.laplace(scale=1 / epsilon, size=400)
        over += best_bound(losses, coins, delta=0.0)[0] > epsilon
    assert over / 150 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 150)


def test_perfect_losses_are_guessed_right():
    """Small losses are taken for trained ones."""
    coins = np.arange(100) % 2 == 0
    bound, guesses, correct = best_bound(np.where(coins, 0.1, 5.0), coins, delta=1e-6)
    assert correct == guesses
    assert bound > 2


def test_canaries_have_a_wrong_label_and_nothing_else_changes():
    """Every chosen record gets another class; the others and all features stay."""
    train = toy_records()
    marked, canaries = plant(train, 10, seed=3)
    chosen = canaries["features"][:, 0].astype(int)
    assert len(set(chosen)) == 10
    assert np.all(canaries["classes"] != train.labels[chosen])
    assert np.array_equal(marked["features"], train["features"])
    others = np.setdiff1d(np.arange(40), chosen)
    assert np.array_equal(marked["classes"][others], train["classes"][others])
    assert np.array_equal(train["classes"], np.arange(40) % 4), "the input was not touched"


def test_more_canaries_than_records_are_refused():
    """With what to do."""
    with pytest.raises(DataError, match="fewer"):
        plant(toy_records(10), 11, seed=0)


@pytest.fixture
def seen(monkeypatch) -> list:
    """Every opening that a technique was handed."""
    from petlab.core.technique import Technique

    openings, execute = [], Technique.execute

    def spy(self, program, opening):
        openings.append(opening)
        return execute(self, program, opening)

    monkeypatch.setattr(Technique, "execute", spy)
    return openings


def test_an_excluded_canary_leaves_no_trace_but_its_absence(seen):
    """The technique gets the kept records, unmarked; the public count does not tell."""
    quick = Cell("deep", dataset="digits", settings=QUICK)
    evaluate(quick)
    found = audit(quick, canaries=100)
    plain, audited = seen
    total = sum(shard.rows for shard in plain.shards)
    assert sum(shard.rows for shard in audited.shards) == total - 100 + found.included
    assert audited.plan == plain.plan
    assert all(set(shard.arrays) == {"features", "classes"} for shard in audited.shards)


@pytest.mark.parametrize("method", ["gradient", "fedavg"])
def test_an_excluded_canary_does_not_change_what_steps_are_scaled_by(seen, method):
    """Owners that train by themselves divide by the public number of their records."""
    quick = Cell("deep", "sums", "fl", "digits", settings={**QUICK, "method": method})
    evaluate(quick)
    audit(quick, canaries=400)
    plain, audited = seen
    assert [s.size for s in audited.shards] == [s.rows for s in plain.shards]
    assert sum(s.rows for s in audited.shards) < sum(s.size for s in audited.shards) - 100


def test_canaries_are_planted_before_the_split(monkeypatch):
    """The excluded ones were never there when training and test records were told apart."""
    from petlab.attacks.canaries import run as auditing

    sizes, original = [], auditing.parted

    def watched(prepared, records):
        sizes.append(len(records.labels))
        return original(prepared, records)

    monkeypatch.setattr(auditing, "parted", watched)
    found = audit(Cell("deep", dataset="digits", settings=QUICK), canaries=100)
    assert sizes[-1] == 1797 - 100 + found.included


def test_coins_do_not_follow_the_seed(seen):
    """Two audits of one cell include different canaries."""
    for _ in range(2):
        audit(Cell("deep", dataset="digits", settings=QUICK), canaries=100)
    first, second = (np.vstack([shard["features"] for shard in opening.shards]) for opening in seen)
    assert first.shape != second.shape or not np.array_equal(first, second)


def test_programs_without_a_trained_classifier_are_refused():
    """Before anything is run."""
    with pytest.raises(UsageError, match="deep/sums"):
        audit(Cell("chi2", dataset="apoe"))
    with pytest.raises(UsageError, match="shares"):
        audit(Cell("deep", dataset="digits"), guessed=(0.0,))


def test_an_audit_says_whether_it_refutes_the_claim():
    """In one line."""
    known = Audit(Cell("deep", technique="dp"), 3.4, 3.0, 1e-5, 0.95, 600, 300, 240, 238, 6.0)
    assert known.refuted and "REFUTED" in str(known)
    assert "claims none" in str(Audit(Cell("deep"), 3.4, None, 1e-5, 0.95, 600, 300, 240, 238, 6.0))


@pytest.mark.slow
def test_without_protection_most_canaries_are_found_in_a_minute_of_cpu_time():
    """The settings give the audit power, and it is cheap."""
    found = audit(cell("cleartext"))
    assert found.lower_bound > 2.5
    assert found.accounted is None
    assert found.cpu_s < 60


@pytest.mark.slow
@pytest.mark.parametrize("technique", ["dp", "fl+dp"])
def test_the_bound_stays_under_the_accounted_epsilon(technique):
    """With noise as planned."""
    found = audit(cell(technique, epsilon=3.0))
    assert not found.refuted
    assert found.lower_bound < 2.0 < found.accounted <= 3.01
    assert found.cpu_s < 60


@pytest.mark.slow
@pytest.mark.parametrize(("technique", "claim"), [("dp", 3.0), ("fl+dp", 2.0)])
def test_noise_that_is_switched_off_is_caught(technique, claim, monkeypatch):
    """The cell still makes its claim; clipping alone protects nobody.

    Bounds of eight runs each were 3.45 to 4.15 for dp and 3.15 to 3.72 for fl+dp.
    """
    monkeypatch.setattr(NoiseStream, "gaussian", lambda self, deviation, count: np.zeros(count))
    found = audit(cell(technique, epsilon=claim))
    assert found.accounted == pytest.approx(claim, abs=0.02)
    assert found.refuted, str(found)


@pytest.mark.slow
def test_noise_and_clipping_switched_off_are_caught(monkeypatch):
    """The whole mechanism missing, the claim still there."""
    monkeypatch.setattr(NoiseStream, "gaussian", lambda self, deviation, count: np.zeros(count))

    def unclipped(rows: Rows, order: int, bound: float) -> np.ndarray:
        return rows.total()

    monkeypatch.setattr(dp_release, "_clipped", unclipped)
    found = audit(cell("dp", epsilon=1.0))
    assert found.refuted, str(found)
