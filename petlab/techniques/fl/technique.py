"""Federated learning as a technique: which federation a session is."""

from __future__ import annotations

from petlab.core.party import AGGREGATOR, OWNERS
from petlab.core.release import Exposure
from petlab.core.session import Opening, Session
from petlab.core.technique import Technique
from petlab.techniques.fl.blind import BlindFederation
from petlab.techniques.fl.federation import Settings
from petlab.techniques.fl.plain import PlainFederation


class FederatedLearning(Technique):
    """Send the computation to the records: Flower's strategies and Message API."""

    name = "fl"
    title = "Federated learning"
    protects = "raw records stay at their owner"
    packages = {"flwr": "flwr==1.41.0"}  # noqa: RUF012
    settings = Settings
    session = PlainFederation
    borrows = BlindFederation
    exposure = Exposure(places=(OWNERS, AGGREGATOR), contributions=True)

    def warm_up(self) -> None:
        """Import Flower's runtime."""
        from flwr.serverapp import strategy

        from petlab.techniques.fl import grid

        _ = grid, strategy.FedAvg

    def open(self, opening: Opening) -> Session:
        """Open a federation over the owners' shards, blind if it was lent an aggregation."""
        kind = BlindFederation if opening.lend else PlainFederation
        return kind(opening, self.chosen)
