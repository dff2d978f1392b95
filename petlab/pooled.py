"""Sums over records that lie together at one party, which computes on them in the clear."""

from __future__ import annotations

import numpy as np

from petlab import wire
from petlab.accumulator import Accumulators
from petlab.aggregation import Aggregation, Opener, PlainAggregation
from petlab.contribution import Total
from petlab.party import ANALYST, CURATOR, Owner, Shard
from petlab.plain_arrays import PlainArrays
from petlab.session import SumRequest


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
