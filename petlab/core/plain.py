"""In the clear: arrays by numpy, and sums over records that lie together at one party."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from petlab.core import curves
from petlab.core.accumulator import Accumulators
from petlab.core.aggregation import Aggregation, Opener, PlainAggregation
from petlab.core.arrays import Layout, Local, Protected
from petlab.core.contribution import Total
from petlab.core.party import ANALYST, CURATOR, Owner, Shard
from petlab.core.session import Session, SumRequest
from petlab.errors import OutOfRange
from petlab.metering import wire


class PlainArrays(Session):
    """Gives a session protected arrays that lie in the clear where the program runs."""

    def _share(self, values: np.ndarray, owner: str, label: str, layout: Layout) -> Protected:
        message = self.send(owner, self.place, "records", wire.pack({"values": values}))
        self.plain_bytes += values.nbytes
        array = wire.unpack(message)["values"]
        return Protected(self, array, values.shape, label, layout, self.place)

    def _reveal(self, value: Protected, reader: str) -> np.ndarray:
        message = self.send(value.holder, reader, "revealed", wire.pack({"value": value.handle}))
        return wire.unpack(message)["value"]

    def _operand(self, operand: Protected | Local | np.ndarray) -> np.ndarray:
        if isinstance(operand, Protected):
            return operand.handle
        if isinstance(operand, Local):
            values = self._lookup(operand.at, operand.source)
            message = self.send(operand.at, self.place, "operand", wire.pack({"values": values}))
            return wire.unpack(message)["values"]
        return operand

    def _derived(self, source: Protected, array: np.ndarray) -> Protected:
        return Protected(self, array, array.shape, source.label, source.layout, source.holder)

    def _bounded(self, value: Protected, bound: float, proven: bool) -> Protected:
        _within(value, -bound, bound)
        return value

    def _add(self, left: Protected, right: Protected | Local | np.ndarray) -> Protected:
        return self._derived(left, left.handle + self._operand(right))

    def _scale(self, value: Protected, factor: np.ndarray | float) -> Protected:
        return self._derived(value, value.handle * factor)

    def _multiply(self, left: Protected, right: Protected) -> Protected:
        return self._derived(left, left.handle * right.handle)

    def _matmul(self, left: Protected, right: Protected) -> Protected:
        return self._derived(left, left.handle @ right.handle)

    def _plain_matmul(self, left: Protected, right: Local | np.ndarray) -> Protected:
        return self._derived(left, left.handle @ self._operand(right))

    def _square(self, value: Protected) -> Protected:
        return self._derived(value, value.handle**2)

    def _stack(self, values: Sequence[Protected]) -> Protected:
        return self._derived(values[0], np.concatenate([value.handle for value in values]))

    def _take(self, value: Protected, index: np.ndarray) -> Protected:
        return self._derived(value, value.handle[index])

    def _transpose(self, value: Protected) -> Protected:
        return self._derived(value, value.handle.T)

    def _total(self, value: Protected, axis: int) -> Protected:
        return self._derived(value, value.handle.sum(axis, keepdims=True))

    def _positive(self, value: Protected) -> Protected:
        return self._derived(value, (value.handle > 0).astype(float))

    def _exp(self, value: Protected, low: float, high: float) -> Protected:
        return self._derived(value, np.exp(_within(value, low, high)))

    def _reciprocal(self, value: Protected, low: float, high: float) -> Protected:
        return self._derived(value, 1 / _within(value, low, high))

    def _inv_sqrt(self, value: Protected, low: float, high: float) -> Protected:
        return self._derived(value, 1 / np.sqrt(_within(value, low, high)))

    def _sigmoid(self, value: Protected, bound: float) -> Protected:
        return self._derived(value, curves.sigmoid(_within(value, -bound, bound)))

    def _softmax(self, value: Protected, bound: float) -> Protected:
        return self._derived(value, curves.softmax(_within(value, -bound, bound)))


def _within(value: Protected, low: float, high: float) -> np.ndarray:
    """Return the entries, all of which must lie in the range that was declared for them."""
    array = value.handle
    # The comparison is written so that not-a-number is refused too.
    if not np.all((array >= low) & (array <= high)):
        raise OutOfRange(f"a protected value leaves its declared range {low:g} to {high:g}.")
    return array


class PooledSession(PlainArrays, Accumulators):
    """Records are pooled at the analyst, or at a trusted curator who guards the output."""

    @property
    def pool(self) -> str:
        """The party that holds all raw records."""
        return CURATOR if self.release else ANALYST

    def _set_up(self) -> None:
        self._pooled: list[Owner] = []

    def _aggregation(self, *readers: str, terms: int) -> Aggregation:
        return PlainAggregation(self.pool)

    def _opener(self, *readers: str, terms: int) -> Opener:
        return PlainAggregation(self.pool)

    def _sum(self, request: SumRequest) -> Total:
        self._upload()
        contribution = request.contribution
        state = wire.unpack(self.send(self.place, self.pool, "state", wire.pack(request.state)))
        with self.meter.phase("compute", party=self.pool):
            value = np.sum([self.contribute(o, request, state) for o in self._pooled], axis=0)
        with self.meter.phase("protect", party=self.pool):
            value = self._noisy_at(self.pool, value, contribution)
        noise = self._account(contribution)
        message = self.send(self.pool, request.reader, "total", wire.pack({"total": value}))
        value = wire.unpack(message)["total"].reshape(contribution.shape)
        return Total(value, owners=len(self._pooled), noise=noise)

    def _upload(self) -> None:
        if self._pooled:
            return
        for owner in self.owners:
            shard = owner.shard
            message = self.send(owner.name, self.pool, "records", wire.pack(shard.arrays))
            self.plain_bytes += sum(values.nbytes for values in shard.arrays.values())
            received = Shard(owner.name, shard.rows, wire.unpack(message))
            self._pooled.append(Owner(received, owner.memory))
