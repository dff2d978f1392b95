"""Federated learning whose aggregator reads every update and averages by any strategy."""

from __future__ import annotations

from typing import Any

import numpy as np

from petlab.core.claims import Guarantee
from petlab.core.contribution import Total
from petlab.core.ops import not_yet
from petlab.core.party import AGGREGATOR, OWNERS, Owner
from petlab.core.session import SumRequest
from petlab.errors import ProtocolError
from petlab.techniques.fl.federation import Federation


class PlainFederation(Federation):
    """Owners answer the aggregator's messages with totals of their own records.

    The program runs at the aggregator, which is the analyst. A plain sum is Flower's
    weighted average with equal weights, times their number; weights that owners trained
    are averaged by the chosen strategy.
    """

    place = AGGREGATOR
    shows_contributions = True

    def _set_up(self) -> None:
        super()._set_up()
        self._averages = self._strategy(self._settings.strategy)

    def _sum(self, request: SumRequest) -> Total:
        if request.reader != AGGREGATOR:
            raise ProtocolError("plain federated learning opens every sum to the aggregator.")
        contribution = request.contribution
        averaged = contribution.weighted
        strategy = self._averages if averaged else self._sums
        replies = self._ask(strategy, request)
        weights = [reply.content["metrics"]["num-examples"] for reply in replies]
        merged, _ = strategy.aggregate_train(self._round, replies)
        value = next(iter(merged.values())).numpy().astype(float) * sum(weights)
        if averaged:
            value = np.r_[value.ravel(), sum(weights)]
        value = self._noisy_at(AGGREGATOR, value.ravel(), contribution)
        if contribution.integer:
            # The average of integers comes back with a rounding error of the last bit.
            value = np.rint(value)
        noise = self._account(contribution)
        return Total(value.reshape(contribution.shape), owners=len(replies), noise=noise)

    def _reply(self, owner: Owner, request: SumRequest) -> Any:
        from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict

        name, values, weight = self._update(owner, request)
        return RecordDict(
            {
                "arrays": ArrayRecord({name: Array(np.ascontiguousarray(values))}),
                "metrics": MetricRecord({"num-examples": weight}),
            }
        )

    def _update(self, owner: Owner, request: SumRequest) -> tuple[str, np.ndarray, float]:
        contribution, state = request.contribution, request.state
        total = self.contribute(owner, request, state)
        self.plain_bytes += total.nbytes
        with self.meter.phase("protect", party=owner.name):
            total = self._noisy_at(OWNERS, total, contribution)
        if not contribution.weighted:
            return "total", total, 1.0
        shape = state[contribution.weighted].shape
        return contribution.weighted, (total[:-1] / total[-1]).reshape(shape), float(total[-1])

    _hold = not_yet("accumulators that the aggregator cannot read need another aggregation")

    def _guarantee(self) -> Guarantee:
        return Guarantee(
            kind="input",
            protects="Raw records, which never leave their owner.",
            not_protected=(
                "Every owner's single update, which the aggregator reads in the clear: gradients "
                "and statistics of few records can be inverted. The resulting model."
            ),
            adversary="semi-honest aggregator that does not attack the updates",
            trusted=(AGGREGATOR,),
            mechanism=f"Flower, strategy {self._settings.strategy}",
        )
