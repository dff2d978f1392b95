"""Functions of shared arrays by polynomials whose coefficients are public.

Accuracy over the declared range: 1 % of the value plus 2^-12 (`docs/mpc.md` has the measured
errors). The number of steps follows from the range alone.

References
----------
.. [1] Chen, Chow, A Stable Scaling of Newton-Schulz for Improving the Sign Function
   Computation of a Hermitian Matrix, ANL/MCS-P5059, 2014 (the scaled iterations).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from petlab.techniques.mpc.crypten.ring import Ring, Shared

SMALL = 0.25
"""Where four terms of the exponential's series are enough."""
SETTLED = 0.002
"""Relative error at which an iteration stops."""
MARGIN = 0.05
"""Rounding may lift x y above one by so much: no step may throw that below zero."""


def exp(ring: Ring, x: Shared, low: float, high: float) -> Shared:
    """Exponential on [low, high]: a Taylor polynomial at x / 2^k, squared k times."""
    reach = max(abs(low), abs(high), SMALL)
    squarings = max(0, math.ceil(math.log2(reach / SMALL)))
    t = ring.scale(x, 2.0**-squarings) if squarings else x
    t2 = ring.square(t)
    tail = ring.combine([(t, 1 / 6), (t2, 1 / 24)], 0.5)
    value = ring.add_public(ring.add(t, ring.multiply(t2, tail)), 1.0)
    for _ in range(squarings):
        value = ring.square(value)
    return value


def reciprocal(ring: Ring, x: Shared, low: float, high: float) -> Shared:
    """1 / x on [low, high], 0 < low, by scaled Newton steps from 1 / high.

    If x y lies in [l, 1], y (2 m - m^2 x y) with m = 2 / (1 + l) brings it to [l', 1] with
    l' = m l (2 - m l): up to four times closer, where Newton's own step gains a factor two.
    """
    least, w, y = low / high, ring.scale(x, 1 / high), None
    while True:
        m = 2 / (1 + max(least, MARGIN))
        factor = ring.combine([(w, -m * m)], 2 * m)
        y = ring.scale(factor, 1 / high) if y is None else ring.multiply(y, factor)
        least = min(m * least * (2 - m * least), m * (2 - m))
        if 1 - least < SETTLED:
            return y
        w = ring.multiply(x, y)


def inv_sqrt(ring: Ring, x: Shared, low: float, high: float) -> Shared:
    """1 / sqrt(x) on [low, high], 0 < low, by scaled Newton steps from 1 / sqrt(high).

    If s = sqrt(x) y lies in [l, 1], y m (3 - m^2 x y^2) / 2 with m^2 = 3 / (1 + l + l^2)
    brings it to [l', 1] with l' = m l (3 - m^2 l^2) / 2.
    """
    least, w, y = math.sqrt(low / high), ring.scale(x, 1 / high), None
    while True:
        end = max(least, MARGIN)
        m = math.sqrt(3 / (1 + end + end * end))
        factor = ring.combine([(w, -(m**3) / 2)], 1.5 * m)
        start = 1 / math.sqrt(high)
        y = ring.scale(factor, start) if y is None else ring.multiply(y, factor)
        least = min(m * least * (3 - m * m * least * least), m * (3 - m * m)) / 2
        if 1 - least < SETTLED:
            return y
        w = ring.multiply(ring.multiply(x, y), y)


def sigmoid(ring: Ring, x: Shared, bound: float) -> Shared:
    """1 / (1 + exp(-x)) on [-bound, bound], from exp(-|x|), which is at most one."""
    sign = ring.positive(x)
    size = ring.multiply(x, ring.combine([(sign, 2)]))
    size = ring.subtract(size, x)
    e = exp(ring, ring.negate(size), -bound, 0.0)
    r = reciprocal(ring, ring.add_public(e, 1.0), 1.0, 2.0)
    rest = ring.add_public(ring.negate(e), 1.0)
    return ring.multiply(r, ring.add(e, ring.multiply(rest, sign)))


def softmax(ring: Ring, x: Shared, bound: float) -> Shared:
    """Softmax of each row of scores on [-bound, bound], shifted by the row's maximum."""
    shifted = ring.subtract(x, maximum(ring, x))
    e = exp(ring, shifted, -2 * bound, 0.0)
    r = reciprocal(ring, ring.total(e, 1), 1.0, float(x.shape[1]))
    return ring.multiply(e, r)


def maximum(ring: Ring, x: Shared) -> Shared:
    """Largest entry of each row, by a tournament; shape (rows, 1)."""
    while x.shape[1] > 1:
        half = x.shape[1] // 2
        left, right, odd = x[:, :half], x[:, half : 2 * half], x[:, 2 * half :]
        lead = ring.subtract(left, right)
        best = ring.add(right, ring.multiply(lead, ring.positive(lead)))
        x = best if not odd.shape[1] else joined([best, odd], axis=1)
    return x


def joined(values: list[Shared], axis: int) -> Shared:
    """Concatenate along an axis."""
    import torch

    bits = max(v.bits for v in values)
    shares = [v.share << (bits - v.bits) for v in values]
    return Shared(torch.cat(shares, axis), bits)


def excess(ring: Ring, ranges: Sequence[tuple[Shared, float, float]]) -> Shared:
    """How many entries of all arrays leave [low, high], their ranges: an integer, shape (1,)."""
    # Whole numbers may be too large to be lifted to the fraction bits of reals.
    outside: dict[int, list[Shared]] = {}
    for x, low, high in ranges:
        flat = Shared(x.share.reshape(-1), x.bits)
        if not x.bits:
            low, high = math.ceil(low), math.floor(high)
        below = ring.add_public(ring.negate(flat), low)
        outside.setdefault(x.bits, []).extend([below, ring.add_public(flat, -high)])
    counts = [ring.total(ring.positive(joined(group, axis=0)), 0) for group in outside.values()]
    return ring.total(joined(counts, axis=0), 0)
