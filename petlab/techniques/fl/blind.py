"""Federated learning whose aggregator reads no update: another technique protects them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from petlab.core.aggregation import Aggregation, Opener
from petlab.core.claims import Guarantee
from petlab.core.party import AGGREGATOR, ANALYST, Owner
from petlab.core.session import Opening, SumRequest
from petlab.core.summing import Protection
from petlab.errors import UsageError
from petlab.metering import wire
from petlab.techniques.fl.federation import Federation, Settings


class BlindFederation(Federation):
    """Owners protect their totals with a lent aggregation; the analyst opens the sums.

    The program runs at the analyst and its state reaches the owners through the
    aggregator's Flower messages. What an owner sends to the aggregator travels in its
    Flower reply; other holders, such as compute parties, get theirs from the owner
    directly, and then the reply is an acknowledgement.
    """

    place = ANALYST

    def __init__(self, opening: Opening, settings: Settings) -> None:
        if settings.strategy != "fedavg":
            raise UsageError(
                f"strategy {settings.strategy!r} works on updates that the aggregator reads, and "
                "here it cannot: --set strategy=fedavg."
            )
        assert opening.lend is not None
        self._lend = opening.lend
        super().__init__(opening, settings)

    def _set_up(self) -> None:
        super()._set_up()
        self._lender = self._lend(self)

    def close(self) -> None:
        """Return what was borrowed."""
        self._lender.close()

    def _aggregation(self, *readers: str, terms: int) -> Aggregation:
        return self._lender.aggregation(*readers, terms=terms)

    def _opener(self, *readers: str, terms: int) -> Opener:
        return self._lender.opener(*readers, terms=terms)

    def _collect(self, request: SumRequest, protection: Protection) -> list[list[bytes]]:
        self._protection = protection
        self._delivered: dict[tuple[str, str], bytes] = {}
        state = self.send(ANALYST, AGGREGATOR, "state", wire.pack(request.state))
        with self.meter.phase("compute", party=AGGREGATOR):
            replies = self._ask(self._sums, replace(request, state=wire.unpack(state)))
            for owner, reply in zip(self.owners, replies, strict=True):
                for holder, blob in reply.content["contribution"].items():
                    self._delivered[owner.name, holder] = blob
        holders = protection.aggregation.holders
        return [[self._delivered[owner.name, h] for h in holders] for owner in self.owners]

    def _noise_maker(self, aggregation: Aggregation) -> str:
        # The federation's own aggregator, so that no compute party knows noise and a share.
        return AGGREGATOR

    def _reply(self, owner: Owner, request: SumRequest) -> Any:
        from flwr.app import ConfigRecord, RecordDict

        blobs = self._protected(owner, request, request.state, self._protection)
        inside: dict[str, Any] = {}
        for holder, blob in zip(self._protection.aggregation.holders, blobs, strict=True):
            if holder == AGGREGATOR:
                inside[holder] = blob
                continue
            arrived = self.send(owner.name, holder, "contribution", blob)
            self._delivered[owner.name, holder] = arrived
        return RecordDict({"contribution": ConfigRecord(inside)})

    def _guarantee(self) -> Guarantee:
        lent = self._lender.guarantee()
        return replace(
            lent,
            protects=f"Raw records, which never leave their owner. {lent.protects}",
            not_protected=(
                f"{lent.not_protected} What the program sends to the owners, which the aggregator "
                "carries in the clear: it sees the model of each round, and so how sums moved it. "
                "An aggregator that deviates can send owners other models, under which the sum "
                "shows one of them."
            ),
            mechanism=f"Flower, strategy {self._settings.strategy}; {lent.mechanism}",
        )
