"""Protected arrays of multiparty computation: the program's side of every operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from petlab.core.accumulator import Accumulators
from petlab.core.aggregation import Aggregation, Opener
from petlab.core.arrays import Layout, Local, Protected
from petlab.core.claims import Guarantee
from petlab.core.session import Opening
from petlab.errors import OutOfRange, ProtocolError, UsageError
from petlab.techniques.mpc import bounds
from petlab.techniques.mpc.cluster import Cluster
from petlab.techniques.mpc.committee import Committee, Stored, encode

FRACTION = 20
"""Fraction bits of a shared real number."""
VALUE_MAX = 2.0**20
"""Magnitude past which a shared number leaves no room for products."""
RECIPROCAL_HIGH = 2.0**14
"""Above this a reciprocal would have too few fraction bits to converge."""
EXP_REACH = 2.0**10
"""Magnitude past which an exponential's operand, halved until it is small, loses too much."""
DIVISOR_LOW = 2.0**-12
"""Below this a reciprocal or inverse root would see too few fraction bits of its operand."""


class SharedSession(Accumulators):
    """Compute parties hold additive shares; the program at the analyst tells them what to do.

    Parameters
    ----------
    opening
        Owners, plan, seed and output guard.
    cluster
        Processes of the compute parties.
    """

    def __init__(self, opening: Opening, cluster: Cluster) -> None:
        self._cluster = cluster
        super().__init__(opening)

    def _set_up(self) -> None:
        self.committee = Committee(self, self._cluster)

    def _aggregation(self, *readers: str, terms: int) -> Aggregation:
        return self.committee.aggregation(*readers, terms=terms)

    def _opener(self, *readers: str, terms: int) -> Opener:
        return self.committee.opener(*readers, terms=terms)

    def close(self) -> None:
        """End the compute parties."""
        self.committee.close()

    def _share(self, values: np.ndarray, owner: str, label: str, layout: Layout) -> Protected:
        return self._spread(values, owner, label, layout, bound=self.plan.value_max)

    def _spread(
        self, values: np.ndarray, owner: str, label: str, layout: Layout, *, bound: float
    ) -> Protected:
        if self.plan.value_max > VALUE_MAX:
            raise OutOfRange(f"shares hold values up to {VALUE_MAX:g}: scale the inputs down.")
        self.plain_bytes += values.nbytes
        # The kind of the array is public, its values are not: whole numbers stay exact.
        bits = 0 if values.dtype.kind in "iub" else FRACTION
        stored = self.committee.share(owner, encode(values, bits), bits, bound=bound)
        return self._held_array(stored, values.shape, label, layout)

    def _bounded(self, value: Protected, bound: float, proven: bool) -> Protected:
        if proven:
            value.handle.bound = min(value.handle.bound, bound)
        elif value.handle.bound > bound:
            self.committee.declare(value.handle, value.shape, bound)
        return value

    def _add(self, left: Protected, right: Protected | Local | np.ndarray) -> Protected:
        operand = self._shared(left, right)
        if isinstance(operand, Protected):
            bits = _bits(left, operand)
            most = bounds.stored_max(bits) / 2
            bound = self._kept(left, most) + self._kept(operand, most)
            shape = np.broadcast_shapes(left.shape, operand.shape)
            return self._do("add", [left, operand], bits, shape, bound=bound)
        bits = left.handle.bits if _whole(operand) else FRACTION
        bound = self._kept(left, bounds.stored_max(bits) / 2) + float(
            np.abs(operand).max(initial=0)
        )
        shape = np.broadcast_shapes(left.shape, operand.shape)
        return self._do("add_public", [left], bits, shape, bound=bound, arrays={"public": operand})

    def _scale(self, value: Protected, factor: np.ndarray | float) -> Protected:
        factors = _representable(np.asarray(factor, float))
        bits, most = self._beside_public(value, factors)
        bound = self._kept(value, most / bounds.reach(factors))
        bound *= float(np.abs(factors).max(initial=0.0))
        arrays = {"factor": factors}
        return self._do("scale", [value], bits, value.shape, bound=bound, arrays=arrays)

    def _multiply(self, left: Protected, right: Protected) -> Protected:
        shape = np.broadcast_shapes(left.shape, right.shape)
        return self._product("multiply", [left, right], shape, terms=1)

    def _matmul(self, left: Protected, right: Protected) -> Protected:
        shape = (*left.shape[:-1], *right.shape[1:])
        return self._product("matmul", [left, right], shape, terms=max(1, right.shape[0]))

    def _plain_matmul(self, left: Protected, right: Local | np.ndarray) -> Protected:
        operand = self._shared(left, right, product=True)
        if isinstance(operand, Protected):
            return self._matmul(left, operand)
        bits, most = self._beside_public(left, operand)
        bound = self._kept(left, most / bounds.column_reach(operand))
        bound *= float(np.abs(operand).sum(0).max(initial=0.0))
        shape = (*left.shape[:-1], *operand.shape[1:])
        arrays = {"public": operand}
        return self._do("matmul_public", [left], bits, shape, bound=bound, arrays=arrays)

    def _square(self, value: Protected) -> Protected:
        return self._product("square", [value], value.shape, terms=1)

    def _stack(self, values: Sequence[Protected]) -> Protected:
        shape = (sum(v.shape[0] for v in values), *values[0].shape[1:])
        bits = max(v.handle.bits for v in values)
        bound = max(self._kept(v, bounds.stored_max(bits)) for v in values)
        return self._do("stack", list(values), bits, shape, bound=bound)

    def _take(self, value: Protected, index: np.ndarray) -> Protected:
        shape = (len(index), *value.shape[1:])
        return self._moved("take", value, shape, arrays={"index": np.asarray(index, np.int64)})

    def _transpose(self, value: Protected) -> Protected:
        return self._moved("transpose", value, value.shape[::-1])

    def _total(self, value: Protected, axis: int) -> Protected:
        shape = tuple(1 if k == axis else n for k, n in enumerate(value.shape))
        bits, terms = value.handle.bits, max(1, value.shape[axis])
        bound = terms * self._kept(value, bounds.stored_max(bits) / terms)
        return self._do("total", [value], bits, shape, bound=bound, axis=axis)

    def _positive(self, value: Protected) -> Protected:
        return self._do("positive", [value], 0, value.shape, bound=1.0)

    def _exp(self, value: Protected, low: float, high: float) -> Protected:
        if np.exp(high) > VALUE_MAX or low < -EXP_REACH:
            raise UsageError(f"exp on [{low:g}, {high:g}] does not fit the ring.")
        return self._curve("exp", value, low, high)

    def _reciprocal(self, value: Protected, low: float, high: float) -> Protected:
        if high > RECIPROCAL_HIGH or low < DIVISOR_LOW:
            raise UsageError(f"reciprocal on [{low:g}, {high:g}] does not fit the ring.")
        return self._curve("reciprocal", value, low, high)

    def _inv_sqrt(self, value: Protected, low: float, high: float) -> Protected:
        if high > VALUE_MAX or low < DIVISOR_LOW:
            raise UsageError(f"inv_sqrt on [{low:g}, {high:g}] does not fit the ring.")
        return self._curve("inv_sqrt", value, low, high)

    def _sigmoid(self, value: Protected, bound: float) -> Protected:
        if bound > EXP_REACH:
            raise UsageError(f"sigmoid up to {bound:g} does not fit the ring.")
        return self._curve("sigmoid", value, -bound, bound)

    def _softmax(self, value: Protected, bound: float) -> Protected:
        if 2 * bound > EXP_REACH:
            raise UsageError(f"softmax of scores up to {bound:g} does not fit the ring.")
        return self._curve("softmax", value, -bound, bound)

    def _reveal(self, value: Protected, reader: str) -> np.ndarray:
        return self.committee.reveal(value.handle, value.shape, reader)

    def _guarantee(self) -> Guarantee:
        return self.committee.guarantee()

    def _shared(
        self,
        beside: Protected,
        operand: Protected | Local | np.ndarray,
        *,
        product: bool = False,
    ) -> Protected | np.ndarray:
        """Let a party share its plain operand, whose values the others may not see."""
        if isinstance(operand, Protected):
            return operand
        if not isinstance(operand, Local):
            return _representable(operand)
        values = _representable(self._lookup(operand.at, operand.source))
        if not product:
            self._fits(beside, values)
        elif beside.shape[-1] != values.shape[0]:
            raise ProtocolError(f"no product of shapes {beside.shape} and {values.shape}.")
        bound = operand.bound or VALUE_MAX
        return self._spread(values, operand.at, beside.label, beside.layout, bound=bound)

    def _kept(self, value: Protected, most: float) -> float:
        """Bound on the entries, at most `most`: if need be, the parties compare them with one."""
        handle = value.handle
        if handle.bound > bounds.widened(most):
            self.committee.declare(handle, value.shape, bounds.narrowed(most))
        return handle.bound

    def _product(
        self, name: str, operands: list[Protected], shape: tuple[int, ...], *, terms: int
    ) -> Protected:
        """Sums of so many products, which fit the ring, or nothing will be opened."""
        left, right = operands[0].handle, operands[-1].handle
        bits, room = max(left.bits, right.bits), bounds.limit(left.bits, right.bits) / terms
        plan = None
        if left.bound * right.bound > room and left.bits and right.bits:
            for value in operands:
                self._kept(value, bounds.operand_max(terms))
            sizes = left.bound, right.bound
            plan = bounds.rehearsal(sizes, terms, square=name == "square")
        if plan:
            self._rehearse(name, operands, shape, plan)
            return self._do(name, operands, bits, shape, bound=bounds.RESULT_MAX)
        first, last = bounds.fitting((left.bound, right.bound), room)
        bound = self._kept(operands[0], first) * self._kept(operands[-1], last)
        return self._do(name, operands, bits, shape, bound=terms * bound)

    def _rehearse(
        self,
        name: str,
        operands: list[Protected],
        shape: tuple[int, ...],
        plan: bounds.Rehearsal,
    ) -> None:
        """Compute a product from operands halved until it fits, and compare it with the limit."""
        halved = [
            self._scale(value, 2.0**-down) if down else value
            for value, down in zip(operands, plan.down, strict=False)
        ]
        small = self._do(name, halved, FRACTION, shape, bound=bounds.PRODUCT_MAX)
        self.committee.declare(small.handle, shape, plan.bound)

    def _beside_public(self, value: Protected, public: np.ndarray) -> tuple[int, float]:
        """Fraction bits and largest entry of a product with public numbers."""
        if _whole(public):
            return value.handle.bits, bounds.stored_max(value.handle.bits)
        return FRACTION, bounds.PRODUCT_MAX

    def _moved(
        self, name: str, value: Protected, shape: tuple[int, ...], **given: Any
    ) -> Protected:
        return self._do(name, [value], value.handle.bits, shape, bound=value.handle.bound, **given)

    def _curve(self, name: str, value: Protected, low: float, high: float) -> Protected:
        bound = bounds.OF[name](low=low, high=high)
        return self._do(name, [value], FRACTION, value.shape, bound=bound, low=low, high=high)

    def _do(
        self,
        name: str,
        inputs: Sequence[Protected],
        bits: int,
        shape: tuple[int, ...],
        *,
        bound: float,
        **given: Any,
    ) -> Protected:
        shapes = [v.shape for v in inputs]
        handles = [v.handle for v in inputs]
        bound += bounds.UNIT if bits else 0.0
        stored = self.committee.command(name, handles, bits, bound=bound, shapes=shapes, **given)
        return self._held_array(stored, shape, inputs[0].label, inputs[0].layout)

    def _held_array(
        self, stored: Stored, shape: tuple[int, ...], label: str, layout: Layout
    ) -> Protected:
        return Protected(self, stored, shape, label, layout, self._cluster.names[0])


def _bits(left: Protected, right: Protected) -> int:
    return max(left.handle.bits, right.handle.bits)


def _representable(values: np.ndarray) -> np.ndarray:
    if not np.all(np.abs(values) <= VALUE_MAX):
        raise OutOfRange(f"shares hold finite values up to {VALUE_MAX:g}: scale them down.")
    return values


def _whole(values: np.ndarray) -> bool:
    return bool(np.all(values == np.rint(values)))
