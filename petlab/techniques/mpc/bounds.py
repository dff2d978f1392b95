"""How large shared numbers can get: public bounds that follow every operation.

A ring wraps silently. Each stored array therefore has a public bound, which starts from what
its owner checked and grows with every operation. Where a product might no longer fit, it is
computed a second time from operands that are halved until it does, and that small product is
compared with the limit before anything is opened, as is done with every declared range. Where
halving would round too much, the operands are compared themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

SLACK = 1 / 64
"""A value may leave its declared range by so much of the bound: rounding is no offence."""
LEAST = 2.0**-12
"""Where a bound is smaller than this, or zero, by so much of this."""
UNIT = 2.0**-20
"""Every truncation may be off by so much."""
PRODUCT_MAX = 2.0**21
"""A product of reals must stay below this, to be truncated: half of what the ring holds."""
ERROR_MAX = 2.0**18
"""By so much may a rehearsed product be off."""
RESULT_MAX = PRODUCT_MAX + 2 * ERROR_MAX + SLACK * (PRODUCT_MAX + ERROR_MAX)
"""Bound on a product that was rehearsed: still below the 2^22 at which the ring ends."""
REAL_MAX = 2.0**42
"""Any stored real must stay below this, to be compared."""
WHOLE_MAX = 2.0**61
"""And any stored whole number below this."""


def limit(*bits: int) -> float:
    """Bound that a product of operands with these fraction bits must keep to."""
    return {0: WHOLE_MAX, 1: REAL_MAX}.get(sum(b > 0 for b in bits), PRODUCT_MAX)


def stored_max(bits: int) -> float:
    """Bound that any stored array with so many fraction bits must keep to."""
    return REAL_MAX if bits else WHOLE_MAX


def widened(bound: float) -> float:
    """What a value that was compared with a bound may reach."""
    return bound + SLACK * max(bound, LEAST)


def narrowed(most: float) -> float:
    """Power of two to compare with, so that a value stays below `most`, but for the slack."""
    return float(2.0 ** math.floor(math.log2(most)))


def fitting(bounds: tuple[float, float], room: float) -> tuple[float, float]:
    """Bounds for two operands, none larger than it was, whose product is at most `room`.

    A bound that is small stays what it is; where both are large they get the same share.
    """
    small, large = sorted(bounds)
    if small * large <= room:
        return bounds
    root = math.sqrt(room)
    small = small if small <= root else narrowed(root)
    large = min(large, narrowed(room / small))
    return (small, large) if bounds[0] <= bounds[1] else (large, small)


@dataclass(frozen=True)
class Rehearsal:
    """How a product of reals is computed small first, where its own size could wrap.

    Attributes
    ----------
    down
        Halvings of the left and the right operand.
    bound
        What the small product is compared with: the full one is then at most `RESULT_MAX`.
    """

    down: tuple[int, int]
    bound: float


def operand_max(terms: int) -> float:
    """Bound below which two operands of a sum of so many products can be rehearsed."""
    error = math.log2(ERROR_MAX) - math.log2(UNIT) - 1 + math.log2(PRODUCT_MAX) / 2
    return float(2.0 ** math.floor(min(20, (error - 1.5 * math.log2(terms)) / 2)))


def rehearsal(bounds: tuple[float, float], terms: int, *, square: bool) -> Rehearsal | None:
    """Return how to make sure that a sum of products fits, or None.

    None if it fits anyway, or if halving would round too much.
    """
    left, right = (max(math.log2(bound), -20.0) for bound in bounds)
    halvings = math.ceil(left + right + math.log2(terms / PRODUCT_MAX))
    halvings += halvings % 2 if square else 0
    # A halved operand is off by a unit more, which its partner multiplies.
    down = min(halvings, max(0, round((halvings + left - right) / 2)))
    error = terms * UNIT * (bounds[1] * 2.0**down + bounds[0] * 2.0 ** (halvings - down))
    if halvings <= 0 or error > ERROR_MAX:
        return None
    return Rehearsal((down, halvings - down), (PRODUCT_MAX + ERROR_MAX) / 2.0**halvings)


def reach(factors: np.ndarray) -> float:
    """Largest factor that public numbers stand for; small ones get more fraction bits."""
    return max(1.0, float(np.abs(factors).max(initial=0.0)))


def column_reach(matrix: np.ndarray) -> float:
    """Largest factor by which a product with a public matrix can grow entries."""
    return max(1.0, float(np.abs(matrix).sum(0).max(initial=0.0)))


def of_exp(*, low: float, high: float) -> float:
    """Bound on an exponential whose operand was declared to lie in [low, high]."""
    return _computed(math.exp(high + SLACK * max(abs(high), LEAST)))


def of_reciprocal(*, low: float, high: float) -> float:
    """Bound on a reciprocal whose operand was declared to lie in [low, high]."""
    return _computed(1 / (low * (1 - SLACK)))


def of_inv_sqrt(*, low: float, high: float) -> float:
    """Bound on an inverse root whose operand was declared to lie in [low, high]."""
    return _computed(1 / math.sqrt(low * (1 - SLACK)))


def of_probability(**_: float) -> float:
    """Bound on a logistic function or softmax."""
    return _computed(1.0)


OF: dict[str, Callable[..., float]] = {
    "exp": of_exp,
    "reciprocal": of_reciprocal,
    "inv_sqrt": of_inv_sqrt,
    "sigmoid": of_probability,
    "softmax": of_probability,
}


def _computed(bound: float) -> float:
    """Bound on a function's computed value: off by 1 % of the value plus 2^-12 at most."""
    return 1.01 * bound + 2.0**-12
