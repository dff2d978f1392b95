"""The differencing attack: two honest averages give away one person's age."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from page import Page, percent, table

from petlab.data.dataset import find_dataset
from petlab.metering.accountant import Event, total_epsilon
from petlab.techniques.dp.noise import NoiseStream

AGES = {"Alice": 10, "Bob": 25, "Carry": 22}
OLDEST = 100
"""Public upper end of an age, the sensitivity of a sum of ages when a person is added."""
EPSILONS = (0.1, 1.0, 10.0)
REPEATS = 20_000
SEED = 1


@dataclass(frozen=True)
class Attacked:
    """What an attacker gets at one epsilon, over many repeats of both releases.

    Attributes
    ----------
    mean_error
        Typical (root mean square) error of one released mean.
    guess_error
        Typical error of the age that the attacker computes from two releases.
    within_five
        Share of attacks that come within five years.
    spent
        Epsilon of both releases together for the person who is in both.
    """

    epsilon: float
    mean_error: float
    guess_error: float
    within_five: float
    spent: float


def exact_attack(ages: dict[str, int], target: str) -> tuple[float, float, float]:
    """Mean with the target, mean without, and the age that both give away."""
    rest = [age for name, age in ages.items() if name != target]
    with_target, without = float(np.mean(list(ages.values()))), float(np.mean(rest))
    return with_target, without, with_target * len(ages) - without * len(rest)


def noisy_means(
    ages: np.ndarray, epsilon: float, repeats: int, stream: NoiseStream
) -> tuple[np.ndarray, np.ndarray]:
    """Noisy sums and counts of one release; half of epsilon for each.

    Adding a person changes the sum by at most `OLDEST` and the count by one, so that discrete
    Laplace noise of scale sensitivity over epsilon makes each epsilon/2-private (Dwork, Roth,
    The Algorithmic Foundations of Differential Privacy, 2014, theorem 3.6).
    """
    half = epsilon / 2
    sums = ages.sum() + stream.discrete_laplace(OLDEST / half, repeats)
    counts = len(ages) + stream.discrete_laplace(1 / half, repeats)
    return sums, np.maximum(counts, 1)


def attack(ages: np.ndarray, epsilon: float, *, repeats: int = REPEATS) -> Attacked:
    """Release the noisy mean with and without the first person, and subtract."""
    stream = NoiseStream(insecure_seed=SEED)
    sums, counts = noisy_means(ages, epsilon, repeats, stream)
    fewer, _ = noisy_means(ages[1:], epsilon, repeats, stream)
    mean_error = np.sqrt(np.mean((sums / counts - ages.mean()) ** 2))
    off = (sums - fewer) - ages[0]
    return Attacked(
        epsilon=epsilon,
        mean_error=float(mean_error),
        guess_error=float(np.sqrt(np.mean(off**2))),
        within_five=float(np.mean(np.abs(off) <= 5)),
        spent=total_epsilon([Event(pure=epsilon / 2, releases=4)], 0.0),
    )


def page() -> Page:
    """Three people first, then the 920 patients of `heart`."""
    with_alice, without, found = exact_attack(AGES, "Alice")
    people = find_dataset("heart").load().values["age"].astype(float)
    small = attack(np.array(list(AGES.values()), float), 1.0)
    large = [attack(people, epsilon) for epsilon in EPSILONS]
    exact = people.mean() * len(people) - people[1:].mean() * (len(people) - 1)
    rows = [["exact", "0", "0", "100 %", "unbounded"]] + [
        [
            f"epsilon {a.epsilon:g}",
            f"{a.mean_error:.2f}",
            f"{a.guess_error:.0f}",
            percent(a.within_five, 1),
            f"{a.spent:g}",
        ]
        for a in large
    ]
    header = [
        *("each mean", "its error, years", "error of the attacker's age, years"),
        *("attacks within 5 years", "epsilon of both releases"),
    ]
    body = f"""
## Three people

Alice is {AGES["Alice"]}, Bob {AGES["Bob"]}, Carry {AGES["Carry"]}. A study publishes the mean age
of its three members: **{with_alice:g}**. Alice leaves, and it publishes the mean of the two who
stay: **{without:g}**. Neither number shows anybody's age. Together they do:

    3 x {with_alice:g} - 2 x {without:g} = {found:g}

which is Alice's age, exactly. Nothing was hacked; hiding names, sums over "enough people" or
encryption of the inputs would not have helped, because the *outputs* tell.

## The same with noise

Epsilon-differential privacy adds noise to what is published: to the sum of ages (one person
changes it by at most {OLDEST}, a public bound) and to the number of people. For three people
that drowns the mean too: at epsilon 1 its typical error is {small.mean_error:.0f} years. That is
not a flaw of the noise: a mean of three people *is* mostly about each of them.

The {len(people)} patients of `heart` (mean age {people.mean():.2f}) are enough. The attacker
subtracts the noisy sums of the data with and without the first patient; exact sums give
that patient's age as {exact:.0f}, which is right. {REPEATS:,} repeats of both releases:

{table(header, rows)}

At epsilon 1 the mean is off by {large[1].mean_error:.2f} years, while the attacker's answer is off
by hundreds of years. Two releases cost twice the epsilon: who may ask as often as he likes
averages the noise away, which is why petlab books every release on one budget. At epsilon
10 the mean is better still, and the attacker's answer as well: epsilon is a dial, not a switch.
"""
    return Page(
        "differencing",
        "Two averages that give away one age",
        "Can a published average reveal one person's value, and what stops that?",
        "Exact averages of two groups that differ by one person reveal that person; calibrated "
        "noise, which hardly moves the average of many people, hides one person in it.",
        body,
        lambda axes: _draw(axes, people),
    )


def _draw(axes: Any, people: np.ndarray) -> None:
    epsilons = np.array([0.1, 0.2, 0.5, 1, 2, 5, 10])
    found = [attack(people, float(epsilon), repeats=4_000) for epsilon in epsilons]
    axes.loglog(epsilons, [a.mean_error for a in found], "o-", label="published mean")
    axes.loglog(epsilons, [a.guess_error for a in found], "s--", label="attacker's age")
    axes.set(xlabel="epsilon of each mean", ylabel="typical error, years")
    axes.legend(frameon=False)
