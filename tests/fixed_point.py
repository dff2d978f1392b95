"""A toy technique that computes as fixed-point sharing will, in the clear and in one process.

Values are multiples of 2^-20 in a 64-bit ring; every product is rounded, by a truncation
that may be one unit off; functions are approximated. What does not fit raises.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from petlab.core.arrays import Layout, Local, Protected
from petlab.core.session import Opening
from petlab.core.technique import Technique
from petlab.errors import OutOfRange
from petlab.techniques.cleartext import CleartextSession

UNIT = 2.0**-20
VALUE_MAX = 2.0**20
PRODUCT_MAX = 2.0**21
CURVE_ERROR = 2.0**-8
"""Relative error of an approximated function, on top of 2^-12."""


class FixedPointSession(CleartextSession):
    """Rounds what the clear session computes."""

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening)
        self._rng = np.random.default_rng(7)
        self.largest = 0.0

    def _stored(self, value: Protected, *, limit: float = VALUE_MAX) -> Protected:
        worst = float(np.abs(value.handle).max(initial=0.0))
        self.largest = max(self.largest, worst)
        if not worst < limit:
            raise OutOfRange(f"{worst:g} does not fit the ring.")
        return self._derived(value, np.rint(value.handle / UNIT) * UNIT)

    def _cut(self, product: Protected) -> Protected:
        """Truncate: the result is off by up to one unit, either way."""
        exact = self._stored(product, limit=PRODUCT_MAX).handle
        error = self._rng.integers(-1, 2, exact.shape) * UNIT
        return self._stored(self._derived(product, exact + error))

    def _curve(self, value: Protected) -> Protected:
        error = self._rng.uniform(-1, 1, value.shape)
        off = error * (2.0**-12 + CURVE_ERROR * np.abs(value.handle))
        return self._stored(self._derived(value, value.handle + off))

    def _share(self, values: np.ndarray, owner: str, label: str, layout: Layout) -> Protected:
        return self._stored(super()._share(values, owner, label, layout))

    def _add(self, left: Protected, right: Protected | Local | np.ndarray) -> Protected:
        return self._stored(super()._add(left, right))

    def _scale(self, value: Protected, factor: np.ndarray | float) -> Protected:
        coded = np.rint(np.asarray(factor) / UNIT) * UNIT
        if np.array_equal(coded, np.rint(coded)):
            return self._stored(super()._scale(value, coded))
        return self._cut(super()._scale(value, coded))

    def _multiply(self, left: Protected, right: Protected) -> Protected:
        return self._cut(super()._multiply(left, right))

    def _matmul(self, left: Protected, right: Protected) -> Protected:
        return self._cut(super()._matmul(left, right))

    def _plain_matmul(self, left: Protected, right: Local | np.ndarray) -> Protected:
        coded = np.rint(self._operand(right) / UNIT) * UNIT
        return self._cut(super()._plain_matmul(left, coded))

    def _square(self, value: Protected) -> Protected:
        return self._cut(super()._square(value))

    def _stack(self, values: Sequence[Protected]) -> Protected:
        return self._stored(super()._stack(values))

    def _total(self, value: Protected, axis: int) -> Protected:
        return self._stored(super()._total(value, axis))

    def _exp(self, value: Protected, low: float, high: float) -> Protected:
        return self._curve(super()._exp(value, low, high))

    def _reciprocal(self, value: Protected, low: float, high: float) -> Protected:
        return self._curve(super()._reciprocal(value, low, high))

    def _inv_sqrt(self, value: Protected, low: float, high: float) -> Protected:
        return self._curve(super()._inv_sqrt(value, low, high))

    def _sigmoid(self, value: Protected, bound: float) -> Protected:
        return self._curve(super()._sigmoid(value, bound))

    def _softmax(self, value: Protected, bound: float) -> Protected:
        return self._curve(super()._softmax(value, bound))


class FixedPoint(Technique):
    """Runs a program in rounded arithmetic."""

    name = "fixed_point"
    title = "Fixed point"
    protects = "nothing"
    session = FixedPointSession
