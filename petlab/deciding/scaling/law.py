"""Laws of one variable: a constant plus a term that grows, with coefficients of at least zero.

Which terms there can be follows from the algorithms: work on records is linear in them, Gram
matrices and the systems they make go with the square and the cube of the features, parties
talk to one or to all others. Which of them a cost has is decided by the measurements; where
these cannot tell, by the order: the simpler law, whose coefficients chance moves least.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

TERMS: dict[str, Callable[[float], float]] = {
    "constant": lambda x: 0.0,
    "log": lambda x: math.log2(x),
    "linear": lambda x: x,
    "square": lambda x: x * x,
    "cube": lambda x: x**3,
}
"""How a cost may grow."""
GROWTH = {
    # Counts have more digits with more records; no work on records grows so slowly.
    "records": ("constant", "linear", "log"),
    "features": ("constant", "linear", "square", "cube"),
    "parties": ("constant", "linear", "square"),
}
"""Terms of each variable, the simplest first."""
ITERATIONS = ("constant", "log")
"""Terms of how often a method repeats that stops when it has converged."""
GOOD = 0.10
"""Largest relative error at a measured size with which a law is used."""
EXACT = 5e-3
"""Laws whose errors differ by less than this, or than half of what the repeats do, fit equally
well. Compressed messages differ by some thousandths from run to run."""


@dataclass(frozen=True)
class Law:
    """a + b f(x).

    Attributes
    ----------
    error
        Largest relative error at a measured size.
    """

    term: str
    a: float
    b: float
    error: float

    def __call__(self, x: float) -> float:
        """The cost at a size."""
        return self.a + self.b * TERMS[self.term](x)


def plausible(
    terms: Sequence[str], sizes: Sequence[float], costs: Sequence[float], *, noise: float
) -> list[Law]:
    """Fit costs at three sizes or more by least squares of relative errors.

    Parameters
    ----------
    terms
        How the cost may grow, the simplest first.
    noise
        Relative spread of the repeats, from the least to the largest: laws whose errors
        differ by less than half of it cannot be told apart.

    Returns
    -------
    list of Law
        Those that fit best, the simplest first; never none. Where several do, all are `GOOD`.
    """
    laws = [_fit(term, sizes, costs) for term in terms]
    least = min(law.error for law in laws)
    alike = max(least, min(GOOD, tolerance(least, noise)))
    return [law for law in laws if law.error <= alike]


def tolerance(least: float, noise: float) -> float:
    """Up to which error something fits as well as the best, whose error is `least`."""
    return least + max(EXACT, noise / 2)


def _fit(term: str, sizes: Sequence[float], costs: Sequence[float]) -> Law:
    from scipy.optimize import nnls

    y = np.maximum(np.asarray(costs, float), 1e-12)
    growth = np.array([TERMS[term](x) for x in sizes])
    scale = growth.max() or 1.0
    design = np.stack([np.ones(len(y)), growth / scale], axis=1) / y[:, None]
    (a, b), _ = nnls(design, np.ones(len(y)))
    fitted = a + b * growth / scale
    return Law(term, float(a), float(b / scale), float(np.abs(fitted / y - 1).max()))
