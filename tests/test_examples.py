"""The worked examples hold, and their pages are what their scripts write."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from petlab.metering.accountant import gaussian_epsilon
from petlab.techniques.dp.noise import NoiseStream
from petlab.techniques.mpc.streams import Stream

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
sys.path.insert(0, str(EXAMPLES))

import composition  # noqa: E402
import differencing  # noqa: E402
import histogram  # noqa: E402
import make  # noqa: E402
import noisy_chi2  # noqa: E402
import replicated  # noqa: E402
import voting  # noqa: E402
from page import markdown  # noqa: E402

pytestmark = pytest.mark.slow  # together they would take half of `make check`

SLOW = {"noisy_chi2", "voting"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in make.NAMES],
)
def test_a_page_is_what_its_script_writes(name):
    """`python docs/examples/make.py` rewrites it."""
    assert (EXAMPLES / f"{name}.md").read_text() == markdown(make.page_of(name))


def test_the_index_names_every_page_and_every_link_leads_somewhere():
    """Pages, figures and scripts are all there."""
    pages = [EXAMPLES / "README.md", *(EXAMPLES / f"{name}.md" for name in make.NAMES)]
    linked = {path: re.findall(r"\]\(([^)#:]+)\)", path.read_text()) for path in pages}
    assert set(linked[pages[0]]) == {f"{name}.md" for name in make.NAMES}
    for path, targets in linked.items():
        for target in targets:
            assert (path.parent / target).exists(), target


def test_two_exact_means_give_away_the_third_age():
    """Mean 19 of three, 23.5 of two: Alice is 10."""
    assert differencing.exact_attack(differencing.AGES, "Alice") == (19.0, 23.5, 10.0)


def test_noise_stops_the_differencing_attack_and_leaves_the_mean():
    """At epsilon 1 the attack is off by centuries, the mean of 900 people by months."""
    ages = np.random.default_rng(0).integers(20, 90, 900).astype(float)
    found = differencing.attack(ages, 1.0, repeats=2_000)
    assert found.guess_error > 100 and found.mean_error < 1
    assert found.within_five < 0.05
    assert found.spent == pytest.approx(2.0)


def test_histogram_sensitivity_depends_on_what_a_neighbour_is():
    """One for adding or removing, two for replacing."""
    assert histogram.global_sensitivity(3, "add/remove") == 1
    assert histogram.global_sensitivity(3, "replace") == 2


def test_histogram_noise_has_the_ratio_that_epsilon_promises():
    """Frequencies of neighbouring counts differ by e^epsilon at most, up to sampling error."""
    stream, draws = NoiseStream(insecure_seed=1), 200_000
    here, there = (count + stream.discrete_laplace(1 / 1.0, draws) for count in (5, 6))
    for value in range(2, 9):
        ratio = np.mean(here == value) / np.mean(there == value)
        assert np.exp(-1.1) < ratio < np.exp(1.1)


def test_counts_are_left_exact_as_often_as_the_formula_says():
    """(1 - p) / (1 + p)."""
    draws = NoiseStream(insecure_seed=1).discrete_laplace(1.0, 100_000)
    assert np.mean(draws == 0) == pytest.approx(histogram.unchanged_chance(1.0), abs=0.01)


def test_disjoint_groups_cost_one_epsilon_and_the_median_another():
    """Median 0.5 and two means in parallel 0.5 make 1."""
    assert composition.spent() == (1.0, 1.5)


def test_private_median_scores_move_by_half_for_one_person():
    """Removing anybody moves no candidate's log-odds by more than epsilon."""
    values, candidates = np.array([1.0, 2, 2, 3, 5, 9]), np.arange(10.0)

    def scores(data):
        below = (data[None] < candidates[:, None]).sum(1)
        above = (data[None] > candidates[:, None]).sum(1)
        return -np.abs(below - above) / 2

    moved = [np.abs(scores(np.delete(values, k)) - scores(values)).max() for k in range(6)]
    assert max(moved) == 0.5


def test_private_median_is_near_the_median():
    """With 500 people and epsilon 1 it is within a year or two."""
    ages = np.random.default_rng(0).integers(20, 90, 500).astype(float)
    stream = NoiseStream(insecure_seed=1)
    found = composition.private_median(ages, np.arange(20, 91), 1.0, stream)
    assert abs(found - np.median(ages)) <= 3


def test_the_naive_test_raises_false_alarms_and_the_honest_one_does_not():
    """At epsilon 0.05."""
    found = noisy_chi2.rates(0.05, repeats=40)
    assert found.naive > 0.5
    assert found.honest < 0.2


def test_votes_cost_what_one_gaussian_of_their_total_costs():
    """Counts of sensitivity one, composed: 1 / z^2 adds up."""
    deviation = voting.gaussian_multiplier(3.0, voting.DELTA, releases=voting.QUESTIONS)
    total = deviation / np.sqrt(voting.QUESTIONS)
    assert gaussian_epsilon(total, voting.DELTA) == pytest.approx(3.0, rel=1e-6)


@pytest.mark.slow
def test_a_student_of_noisy_votes_comes_near_its_teachers():
    """At epsilon 3 within 2 points of their exact vote, and well above one teacher."""
    known = voting.references()
    found = voting.student(3.0, repeats=5).balanced
    assert known[f"exact vote of all {voting.TEACHERS} teachers"] - found < 0.02
    assert found > known["one teacher by itself (mean)"] + 0.03


def test_shares_of_six_and_nine_add_and_multiply():
    """3 + 5 + 7 = 15 and 9 + 23 + 22 = 54, from two shares a party."""
    assert replicated.added(replicated.SIX, replicated.NINE) == (3, 5, 7)
    assert replicated.multiplied(replicated.SIX, replicated.NINE) == (9, 23, 22)
    assert sum(replicated.multiplied(replicated.SIX, replicated.NINE)) == 54


def test_fresh_shares_multiply_whatever_they_are():
    """Modulo 2^64, for secrets up to 2^20."""
    rng = np.random.default_rng(0)
    for x, y in rng.integers(-(2**20), 2**20, (50, 2)):
        left = replicated.shared(int(x), Stream())
        right = replicated.shared(int(y), Stream())
        assert (sum(replicated.multiplied(left, right)) - int(x) * int(y)) % 2**64 == 0
