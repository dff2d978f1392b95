"""Sequential and parallel composition: a median, then the means of two groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from page import Page, percent, table

from petlab.data.dataset import find_dataset
from petlab.metering.accountant import Event, total_epsilon
from petlab.techniques.dp.noise import NoiseStream

MEDIAN_EPSILON = 0.5
MEANS_EPSILON = 0.5
REPEATS = 2_000
SEED = 3


@dataclass(frozen=True)
class Group:
    """One group's released mean."""

    mean: float
    exact: float


def private_median(
    values: np.ndarray, candidates: np.ndarray, epsilon: float, stream: NoiseStream
) -> float:
    """Median by the exponential mechanism over public candidates.

    The score of a candidate is minus half the difference of how many values lie below and
    above it; a person changes that by at most 1/2, so candidates are drawn with probability
    proportional to exp(epsilon * score) (McSherry, Talwar, Mechanism Design via
    Differential Privacy, FOCS 2007, theorem 6; drawn by Gumbel noise).
    """
    below = (values[None] < candidates[:, None]).sum(1)
    above = (values[None] > candidates[:, None]).sum(1)
    score = -np.abs(below - above) / 2
    gumbel = -np.log(-np.log(np.minimum(stream.uniform(len(candidates)), 1 - 2**-53)))
    return float(candidates[np.argmax(epsilon * score + gumbel)])


def private_mean(
    values: np.ndarray, low: float, high: float, epsilon: float, stream: NoiseStream
) -> float:
    """Noisy sum over noisy count, half of epsilon each; values lie in a public range.

    The sum is taken about the middle of the range, so that a person moves it by at most half
    of the range (Dwork, Roth 2014, theorem 3.6).
    """
    half, middle = epsilon / 2, (low + high) / 2
    total = np.rint(values - middle).sum() + stream.discrete_laplace(
        np.ceil((high - low) / 2) / half, 1
    )
    count = len(values) + stream.discrete_laplace(1 / half, 1)
    return float(np.clip(middle + total[0] / max(1.0, count[0]), low, high))


def release(
    age: np.ndarray, rate: np.ndarray, ranges: tuple[tuple, tuple], stream: NoiseStream
) -> tuple[float, Group, Group]:
    """Median age, then the mean heart rate of those up to it and of those above it."""
    (youngest, oldest), (low, high) = ranges
    candidates = np.arange(youngest, oldest + 1)
    middle = private_median(age, candidates, MEDIAN_EPSILON, stream)
    groups = [
        Group(private_mean(part, low, high, MEANS_EPSILON, stream), float(part.mean()))
        for part in (rate[age <= middle], rate[age > middle])
    ]
    return middle, groups[0], groups[1]


def spent() -> tuple[float, float]:
    """Epsilon with the two means counted in parallel, and counted one after the other."""
    median, mean = Event(pure=MEDIAN_EPSILON), Event(pure=MEANS_EPSILON)
    return total_epsilon([median, mean], 0.0), total_epsilon([median, mean, mean], 0.0)


def page() -> Page:
    """Ages and heart rates of `heart`."""
    loaded = find_dataset("heart").load()
    age, rate = (loaded.values[name].astype(float) for name in ("age", "max_heart_rate"))
    found_ranges = [loaded.column(name).range for name in ("age", "max_heart_rate")]
    ranges = (tuple(found_ranges[0] or ()), tuple(found_ranges[1] or ()))
    stream = NoiseStream(insecure_seed=SEED)
    middle, younger, older = release(age, rate, ranges, stream)
    repeats = [release(age, rate, ranges, stream) for _ in range(REPEATS)]
    medians = np.array([entry[0] for entry in repeats])
    off = [np.array([e[k].mean - e[k].exact for e in repeats]) for k in (1, 2)]
    errors = [float(np.sqrt(np.mean(values**2))) for values in off]
    right = float(np.mean(medians == np.median(age)))
    parallel, sequential = spent()
    header = ["step", "who is in it", "epsilon", "released", "exact"]
    rows = [
        [
            *("median age", "everybody", f"{MEDIAN_EPSILON:g}"),
            *(f"{middle:g}", f"{np.median(age):g}"),
        ],
        [
            *("mean top heart rate", f"age up to {middle:g}", f"{MEANS_EPSILON:g}"),
            *(f"{younger.mean:.1f}", f"{younger.exact:.1f}"),
        ],
        [
            *("mean top heart rate", f"age above {middle:g}", f"{MEANS_EPSILON:g}"),
            *(f"{older.mean:.1f}", f"{older.exact:.1f}"),
        ],
    ]
    body = f"""
Do younger patients reach a higher heart rate? Three releases from the {len(age)} patients of
`heart`: the median age, then the mean of the top heart rate on either side of it.

{table(header, rows)}

**Sequential composition.** Everybody is in the median and in one of the means. Who is in two
releases pays for both: epsilons add up.

**Parallel composition.** Nobody is in both groups. Adding or removing one person changes only
one of the two means, so both together cost what one costs.

    epsilon = {MEDIAN_EPSILON:g} (median) + {MEANS_EPSILON:g} (both means) = {parallel:g}

Without noticing that the groups are disjoint one would have booked {sequential:g}. The groups may
depend on the median because the *released* median cuts them; a cut at the exact median would be
a release that nobody paid for. And each mean is itself two releases on the same people, a sum
and a count: half of its {MEANS_EPSILON:g} goes to each.

Repeated {REPEATS:,} times: the released median was the exact one in {percent(right)} of the
repeats (ages are whole years, and many patients share them); the typical errors of the two means
were {errors[0]:.1f} and {errors[1]:.1f} beats per minute, beside a difference of
{younger.exact - older.exact:.1f} between the groups.

The sum of epsilons is exact for pure epsilons and a rough bound for Gaussian noise, which
composes more cheaply: `petlab/metering/accountant.py` adds up 1 / z^2 there.
"""
    return Page(
        "composition",
        "What several releases cost together",
        "If a median is released first and then the means of two groups, what is epsilon in all?",
        "Epsilons of releases about the same people add up; releases about different people "
        "cost only the largest of their epsilons.",
        body,
    )
