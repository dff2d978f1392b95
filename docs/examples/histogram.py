"""A histogram with Laplace noise, and what a neighbour is."""

from __future__ import annotations

from typing import Any

import numpy as np
from page import Page, percent, table

from petlab.data.dataset import find_dataset
from petlab.techniques.dp.noise import NoiseStream

EPSILONS = (10.0, 1.0, 0.1)
SEED = 2


def counts_of(codes: np.ndarray, levels: int) -> np.ndarray:
    """People in each cell."""
    return np.bincount(codes, minlength=levels)


def global_sensitivity(levels: int, neighbours: str, *, people: int = 4) -> int:
    """Largest L1 distance of two neighbouring histograms, by trying all of them.

    Parameters
    ----------
    neighbours
        "add/remove" one person, or "replace" one person by another.
    people
        Size of the data sets that are tried; the answer does not depend on it.
    """
    worst = 0
    for number in range(levels**people):
        data = np.array([number // levels**k % levels for k in range(people)])
        histogram = counts_of(data, levels)
        others = [counts_of(data[1:], levels)]
        if neighbours == "replace":
            others = [counts_of(np.r_[data[1:], level], levels) for level in range(levels)]
        worst = max(worst, *(int(np.abs(histogram - other).sum()) for other in others))
    return worst


def private_histogram(
    counts: np.ndarray, epsilon: float, stream: NoiseStream, *, sensitivity: int = 1
) -> np.ndarray:
    """Counts with discrete Laplace noise of scale sensitivity / epsilon on each cell.

    Epsilon-private for the whole histogram (Dwork, Roth 2014, section 3.3; discrete noise:
    Ghosh, Roughgarden, Sundararajan, Universally Utility-Maximizing Privacy Mechanisms, 2009).
    """
    return counts + stream.discrete_laplace(sensitivity / epsilon, len(counts)).astype(int)


def unchanged_chance(epsilon: float, sensitivity: int = 1) -> float:
    """Chance that a cell gets no noise at all: (1 - p) / (1 + p) with p = exp(-eps / GS)."""
    p = np.exp(-epsilon / sensitivity)
    return float((1 - p) / (1 + p))


def page() -> Page:
    """Kinds of chest pain among the patients of `heart`."""
    loaded = find_dataset("heart").load()
    column = loaded.column("chest_pain")
    counts = counts_of(loaded.values["chest_pain"], len(column.levels))
    added, replaced = (global_sensitivity(3, how) for how in ("add/remove", "replace"))
    stream = NoiseStream(insecure_seed=SEED)
    released = {epsilon: private_histogram(counts, epsilon, stream) for epsilon in EPSILONS}
    shown = [
        [level, int(counts[k]), *(int(released[epsilon][k]) for epsilon in EPSILONS)]
        for k, level in enumerate(column.levels)
    ]
    header = ["chest pain", "exact", *(f"epsilon {epsilon:g}" for epsilon in EPSILONS)]
    facts = [
        [
            f"{epsilon:g}",
            f"{added / epsilon:g}",
            percent(unchanged_chance(epsilon, added), 2),
            f"{replaced / epsilon:g}",
            percent(unchanged_chance(epsilon, replaced), 2),
            f"{np.exp(epsilon):,.3g}" if epsilon < 5 else f"{np.exp(epsilon):,.0f}",
        ]
        for epsilon in EPSILONS
    ]
    body = f"""
## How much can one person change a histogram?

That is its *global sensitivity* (GS), and it depends on what is hidden. Trying all data sets of
four people and three cells:

- one person is **added or removed**: one count changes by one, GS = **{added}**;
- one person is **replaced** by another: one count falls, one rises, GS = **{replaced}**.

petlab hides presence (add/remove) everywhere, so that its epsilons compare. An epsilon from a
tool that replaces is not the same number: replacing is one removal and one addition, so an
add/remove epsilon of 10 promises at most 20 there.

## Released

Noise of scale GS / epsilon on every count, on the {counts.sum()} patients of `heart`. One person
is in one cell only, so the whole histogram costs one epsilon, however many cells it has.

{table(header, shown)}

| epsilon | scale, GS 1 | counts left exact | scale, GS 2 | counts left exact | factor e^epsilon |
| ---: | ---: | ---: | ---: | ---: | ---: |
{table([], facts).split(chr(10), 2)[2]}

The textbook's epsilon = 10 leaves practically every count as it was. The promise is weak, too:
what is published may be e^10, some 22,000 times, as likely with a person as without. At
epsilon 1 counts of hundreds are off by about one; at 0.1 by about ten, which matters for the
smallest cell only. Negative counts can occur and may be set to zero afterwards: what is done
to a released number cannot cost privacy.
"""
    return Page(
        "histogram",
        "A histogram with Laplace noise",
        "How much noise does a histogram need at epsilon = 10, and who is hidden by it?",
        "Adding or removing one person changes a histogram by one, so noise of about "
        "1 / epsilon people on each count hides that person, and large counts survive it.",
        body,
        lambda axes: _draw(axes, column.levels, counts, released),
    )


def _draw(axes: Any, levels: tuple[str, ...], counts: np.ndarray, released: Any) -> None:
    at = np.arange(len(levels))
    shown = {"exact": counts, **{f"epsilon {e:g}": v for e, v in released.items()}}
    for k, (label, values) in enumerate(shown.items()):
        axes.bar(at + 0.2 * (k - 1.5), values, width=0.18, label=label)
    axes.set_xticks(at, levels)
    axes.set(ylabel="patients")
    axes.legend(frameon=False)
