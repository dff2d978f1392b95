"""The session of federated learning: each sum is one round of a Flower strategy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from petlab import wire
from petlab.contribution import Contribution, State, Total, qualified_name, resolve
from petlab.errors import ProtocolError, UsageError
from petlab.ops import never, not_yet
from petlab.party import AGGREGATOR, OWNERS, Owner
from petlab.release import Exposure
from petlab.result import Guarantee
from petlab.session import Opening, Session, SumRequest
from petlab.task import setting
from petlab.technique import Technique

STRATEGIES = {
    "fedavg": "FedAvg",
    "fedavgm": "FedAvgM",
    "fedadam": "FedAdam",
    "fedyogi": "FedYogi",
    "fedadagrad": "FedAdagrad",
    "fedmedian": "FedMedian",
    "fedtrimmedavg": "FedTrimmedAvg",
    "krum": "Krum",
}


@dataclass(frozen=True)
class Settings:
    """Settings of federated learning."""

    strategy: str = setting("fedavg", f"how weights are averaged: {', '.join(STRATEGIES)}")


class FederatedSession(Session):
    """Owners answer the aggregator's messages with totals of their own records.

    The program runs at the aggregator, which is the analyst. A plain sum is Flower's
    weighted average with equal weights, times their number; weights that owners trained
    are averaged by the chosen strategy.
    """

    place = AGGREGATOR

    def __init__(self, opening: Opening, settings: Settings) -> None:
        if settings.strategy not in STRATEGIES:
            raise UsageError(
                f"unknown strategy {settings.strategy!r}. Known: {', '.join(STRATEGIES)}."
            )
        self._settings = settings
        super().__init__(opening)

    def _set_up(self) -> None:
        from flwr.clientapp import ClientApp

        from petlab.techniques.fl.grid import InProcessGrid

        app = ClientApp()
        app.train()(self._answer)
        names = [owner.name for owner in self.owners]
        self._grid = InProcessGrid(app, names, server=AGGREGATOR, send=self.send)
        self._sums = self._strategy("fedavg")
        self._averages = self._strategy(self._settings.strategy)
        self._round = 0

    def _strategy(self, name: str) -> Any:
        from flwr.serverapp import strategy

        everyone = len(self.owners)
        # Flower samples two nodes a round unless both of these minima say otherwise.
        return getattr(strategy, STRATEGIES[name])(
            min_train_nodes=everyone, min_available_nodes=everyone, fraction_evaluate=0.0
        )

    def _sum(self, request: SumRequest) -> Total:
        from flwr.app import Array, ArrayRecord, ConfigRecord

        if request.reader != AGGREGATOR:
            raise ProtocolError("plain federated learning opens every sum to the aggregator.")
        contribution = request.contribution
        averaged = contribution.weighted
        strategy = self._averages if averaged else self._sums
        state = dict(request.state)
        model = {averaged: state.pop(averaged)} if averaged else {}
        self._round += 1
        config = ConfigRecord(
            {
                "contribution": qualified_name(contribution.fn),
                "state": wire.pack(state),
                "step": -1 if request.step is None else request.step,
            }
        )
        self._asked = contribution
        arrays = ArrayRecord({name: Array(values) for name, values in model.items()})
        messages = strategy.configure_train(self._round, arrays, config, self._grid)
        replies = list(self._grid.send_and_receive(messages))
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

    def _answer(self, message: Any, context: Any) -> Any:
        """Compute one owner's reply; what Flower's client app runs."""
        from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict

        owner = self.owners[int(context.node_config["partition-id"])]
        with self.meter.phase("compute", party=owner.name):
            config = message.content["config"]
            arrays = {k: v.numpy() for k, v in message.content["arrays"].items()}
            state = {**wire.unpack(config["state"]), **arrays}
            name, values, weight = self._reply(owner, config, state)
            content = RecordDict(
                {
                    "arrays": ArrayRecord({name: Array(np.ascontiguousarray(values))}),
                    "metrics": MetricRecord({"num-examples": weight}),
                }
            )
        return Message(content, reply_to=message)

    def _reply(self, owner: Owner, config: Any, state: State) -> tuple[str, np.ndarray, float]:
        contribution: Contribution = replace(self._asked, fn=resolve(config["contribution"]))
        step = None if config["step"] < 0 else int(config["step"])
        request = SumRequest(contribution, state, AGGREGATOR, step)
        total = self.contribute(owner, request, state)
        self.plain_bytes += total.nbytes
        with self.meter.phase("protect", party=owner.name):
            total = self._noisy_at(OWNERS, total, contribution)
        if not contribution.weighted:
            return "total", total, 1.0
        shape = state[contribution.weighted].shape
        return contribution.weighted, (total[:-1] / total[-1]).reshape(shape), float(total[-1])

    _share = never("plain federated learning moves no records, protected or not")
    _hold = not_yet("accumulators that the aggregator cannot read need another aggregation")
    _call = not_yet("single-party steps are not built for Flower's grid")

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


class FederatedLearning(Technique):
    """Send the computation to the records: Flower's strategies and Message API."""

    name = "fl"
    title = "Federated learning"
    protects = "raw records stay at their owner"
    packages = {"flwr": "flwr==1.41.0"}  # noqa: RUF012
    settings = Settings
    session = FederatedSession
    exposure = Exposure(places=(OWNERS, AGGREGATOR), contributions=True)

    def warm_up(self) -> None:
        """Import Flower's runtime."""
        from flwr.serverapp import strategy

        from petlab.techniques.fl import grid

        _ = grid, strategy.FedAvg

    def open(self, opening: Opening) -> Session:
        """Open a federation over the owners' shards."""
        return FederatedSession(opening, self.chosen)
