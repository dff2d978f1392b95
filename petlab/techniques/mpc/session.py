"""Protected arrays of multiparty computation: the program's side of every operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from petlab.accumulator import Accumulators
from petlab.aggregation import Aggregation, Opener
from petlab.errors import OutOfRange, ProtocolError, UsageError
from petlab.protected import Layout, Local, Protected
from petlab.result import Guarantee
from petlab.session import Opening
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
        if self.plan.value_max > VALUE_MAX:
            raise OutOfRange(f"shares hold values up to {VALUE_MAX:g}: scale the inputs down.")
        self.plain_bytes += values.nbytes
        # The kind of the array is public, its values are not: whole numbers stay exact.
        bits = 0 if values.dtype.kind in "iub" else FRACTION
        stored = self.committee.share(owner, encode(values, bits), bits)
        return self._held_array(stored, values.shape, label, layout)

    def _add(self, left: Protected, right: Protected | Local | np.ndarray) -> Protected:
        operand = self._shared(left, right)
        if isinstance(operand, Protected):
            bits = max(left.handle.bits, operand.handle.bits)
            shape = np.broadcast_shapes(left.shape, operand.shape)
            return self._do("add", [left, operand], bits, shape)
        bits = left.handle.bits if _whole(operand) else FRACTION
        shape = np.broadcast_shapes(left.shape, operand.shape)
        return self._do("add_public", [left], bits, shape, arrays={"public": operand})

    def _scale(self, value: Protected, factor: np.ndarray | float) -> Protected:
        factors = _representable(np.asarray(factor, float))
        bits = value.handle.bits if _whole(factors) else FRACTION
        return self._do("scale", [value], bits, value.shape, arrays={"factor": factors})

    def _multiply(self, left: Protected, right: Protected) -> Protected:
        shape = np.broadcast_shapes(left.shape, right.shape)
        return self._do("multiply", [left, right], _bits(left, right), shape)

    def _matmul(self, left: Protected, right: Protected) -> Protected:
        shape = (*left.shape[:-1], *right.shape[1:])
        return self._do("matmul", [left, right], _bits(left, right), shape)

    def _plain_matmul(self, left: Protected, right: Local | np.ndarray) -> Protected:
        operand = self._shared(left, right, product=True)
        if isinstance(operand, Protected):
            return self._matmul(left, operand)
        bits = left.handle.bits if _whole(operand) else FRACTION
        shape = (*left.shape[:-1], *operand.shape[1:])
        return self._do("matmul_public", [left], bits, shape, arrays={"public": operand})

    def _square(self, value: Protected) -> Protected:
        return self._do("square", [value], value.handle.bits, value.shape)

    def _stack(self, values: Sequence[Protected]) -> Protected:
        shape = (sum(v.shape[0] for v in values), *values[0].shape[1:])
        bits = max(v.handle.bits for v in values)
        return self._do("stack", list(values), bits, shape)

    def _take(self, value: Protected, index: np.ndarray) -> Protected:
        shape = (len(index), *value.shape[1:])
        rows = {"index": np.asarray(index, np.int64)}
        return self._do("take", [value], value.handle.bits, shape, arrays=rows)

    def _transpose(self, value: Protected) -> Protected:
        return self._do("transpose", [value], value.handle.bits, value.shape[::-1])

    def _total(self, value: Protected, axis: int) -> Protected:
        shape = tuple(1 if k == axis else n for k, n in enumerate(value.shape))
        return self._do("total", [value], value.handle.bits, shape, axis=axis)

    def _positive(self, value: Protected) -> Protected:
        return self._do("positive", [value], 0, value.shape)

    def _exp(self, value: Protected, low: float, high: float) -> Protected:
        if np.exp(high) > VALUE_MAX or low < -EXP_REACH:
            raise UsageError(f"exp on [{low:g}, {high:g}] does not fit the ring.")
        return self._do("exp", [value], FRACTION, value.shape, low=low, high=high)

    def _reciprocal(self, value: Protected, low: float, high: float) -> Protected:
        if high > RECIPROCAL_HIGH or low < DIVISOR_LOW:
            raise UsageError(f"reciprocal on [{low:g}, {high:g}] does not fit the ring.")
        return self._do("reciprocal", [value], FRACTION, value.shape, low=low, high=high)

    def _inv_sqrt(self, value: Protected, low: float, high: float) -> Protected:
        if high > VALUE_MAX or low < DIVISOR_LOW:
            raise UsageError(f"inv_sqrt on [{low:g}, {high:g}] does not fit the ring.")
        return self._do("inv_sqrt", [value], FRACTION, value.shape, low=low, high=high)

    def _sigmoid(self, value: Protected, bound: float) -> Protected:
        if bound > EXP_REACH:
            raise UsageError(f"sigmoid up to {bound:g} does not fit the ring.")
        return self._do("sigmoid", [value], FRACTION, value.shape, bound=bound)

    def _softmax(self, value: Protected, bound: float) -> Protected:
        if 2 * bound > EXP_REACH:
            raise UsageError(f"softmax of scores up to {bound:g} does not fit the ring.")
        return self._do("softmax", [value], FRACTION, value.shape, bound=bound)

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
        return self._share(values, operand.at, beside.label, beside.layout)

    def _do(
        self,
        name: str,
        inputs: Sequence[Protected],
        bits: int,
        shape: tuple[int, ...],
        **given: Any,
    ) -> Protected:
        shapes = [v.shape for v in inputs]
        handles = [v.handle for v in inputs]
        stored = self.committee.command(name, handles, bits, shapes=shapes, **given)
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
