"""Why the usual chi-squared p value is wrong on noisy counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from page import Page, percent, table

from petlab.algorithms.independence import independence, pearson
from petlab.core.contribution import Noise
from petlab.techniques.dp.noise import NoiseStream

PEOPLE = 569
LEVEL = 0.05
EPSILONS = (0.03, 0.1, 0.3, 1.0)
REPEATS = 200
SICK, GENOTYPES = (0.37, 0.63), (0.49, 0.42, 0.09)
EFFECT = 0.035
"""How far the cells of the dependent population are from independence."""
SEED = 4


@dataclass(frozen=True)
class Rates:
    """Share of studies in which each test finds a dependence at the 5 % level.

    Attributes
    ----------
    naive, honest
        Where there is none: should be 5 %.
    power
        Of the honest test, where there is one.
    exact_power
        Of the usual test on exact counts, where there is one.
    """

    epsilon: float
    naive: float
    honest: float
    power: float
    exact_power: float


def naive_p(counts: np.ndarray) -> float:
    """What a package prints that takes noisy counts for exact ones."""
    from scipy import stats

    return float(stats.chi2.sf(pearson(counts), 2))


def honest_p(counts: np.ndarray, epsilon: float, seed: int) -> float:
    """petlab's: against a null that carries the same noise."""
    noise = Noise("laplace", 1 / epsilon)
    return float(independence(counts, noise=noise, seed=seed).values["p_value"])


def rates(epsilon: float, *, repeats: int = REPEATS) -> Rates:
    """Simulate studies with and without a dependence."""
    rng, stream = np.random.default_rng(SEED), NoiseStream(insecure_seed=SEED)
    independent = np.outer(SICK, GENOTYPES)
    dependent = independent + EFFECT * np.array([[1, -1, 0], [-1, 1, 0]])
    found = np.zeros(4)
    for repeat in range(repeats):
        null, real = (
            rng.multinomial(PEOPLE, cells.ravel()).astype(float)
            for cells in (independent, dependent)
        )
        released, dependent_released = (
            (counts + stream.discrete_laplace(1 / epsilon, 6)).reshape(2, 3)
            for counts in (null, real)
        )
        found += (
            naive_p(released) < LEVEL,
            honest_p(released, epsilon, repeat) < LEVEL,
            honest_p(dependent_released, epsilon, repeat) < LEVEL,
            naive_p(real.reshape(2, 3)) < LEVEL,
        )
    return Rates(epsilon, *(float(share) for share in found / repeats))


def page() -> Page:
    """A 2 x 3 table of 569 people, with and without a dependence."""
    simulated = [rates(epsilon) for epsilon in EPSILONS]
    margin = 1.96 * np.sqrt(LEVEL * (1 - LEVEL) / REPEATS)
    header = ["epsilon", "naive: false alarms", "petlab: false alarms", "petlab: power"]
    rows = [
        [f"{r.epsilon:g}", *(percent(v, 1) for v in (r.naive, r.honest, r.power))]
        for r in simulated
    ]
    body = f"""
A disease and a genotype, {PEOPLE} people, a 2 x 3 table. Discrete Laplace noise of scale
1 / epsilon is added to the six counts. Two ways to get a p value:

- **naive**: put the noisy counts into the usual chi-squared test;
- **petlab**: compare the statistic with tables that were simulated without a dependence *and
  with the same noise* (`petlab.algorithms.independence`, after Gaboardi, Lim, Rogers, Vadhan,
  ICML 2016).

{REPEATS} simulated studies, tested at the 5 % level. False alarms: the disease and the genotype
are independent, so 5 % are right ({percent(margin, 1)} either way is chance). Power: they are
not, and the usual test on exact counts finds it in {percent(simulated[0].exact_power)} of the
studies.

{table(header, rows)}

The chi-squared distribution describes how much counts vary by *sampling* people. Noise makes them
vary more, and the naive test takes the excess for a discovery: at epsilon {EPSILONS[0]:g} it
"discovers" something in {percent(simulated[0].naive)} of the studies in which there is nothing. The
honest test keeps its promise at every epsilon and pays in power, which is what privacy costs.
"""
    return Page(
        "noisy_chi2",
        "The chi-squared test on noisy counts",
        "May noisy counts go into the usual test of independence?",
        "No: privacy noise looks like a discovery to a test that does not know of it, so the "
        "test has to be told which noise the counts carry.",
        body,
        lambda axes: _draw(axes, simulated),
    )


def _draw(axes: Any, simulated: list[Rates]) -> None:
    epsilons = [r.epsilon for r in simulated]
    axes.semilogx(epsilons, [r.naive for r in simulated], "o-", label="naive, false alarms")
    axes.semilogx(epsilons, [r.honest for r in simulated], "s-", label="petlab, false alarms")
    axes.semilogx(epsilons, [r.power for r in simulated], "^--", label="petlab, power")
    axes.axhline(LEVEL, color="0.6", linewidth=0.8)
    axes.set_xticks(epsilons, [f"{epsilon:g}" for epsilon in epsilons])
    axes.minorticks_off()
    axes.set(xlabel="epsilon", ylabel="share of studies", ylim=(0, 1.02))
    axes.legend(frameon=False)
