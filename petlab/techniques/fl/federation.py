"""A federation: rounds of Flower messages between the aggregator and the owners."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from petlab.core.contribution import State, qualified_name, resolve
from petlab.core.ops import never, not_yet
from petlab.core.party import AGGREGATOR, Owner
from petlab.core.session import Opening, Session, SumRequest
from petlab.core.settings import setting
from petlab.errors import UsageError
from petlab.metering import wire

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


class Federation(Session):
    """Owners answer the aggregator's messages; subclasses say with what."""

    aggregator = AGGREGATOR

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
        self._round = 0

    def _strategy(self, name: str) -> Any:
        from flwr.serverapp import strategy

        everyone = len(self.owners)
        # Flower samples two nodes a round unless both of these minima say otherwise.
        return getattr(strategy, STRATEGIES[name])(
            min_train_nodes=everyone, min_available_nodes=everyone, fraction_evaluate=0.0
        )

    def _ask(self, strategy: Any, request: SumRequest) -> list[Any]:
        """Run one round at the aggregator; return the replies in the owners' order."""
        from flwr.app import Array, ArrayRecord, ConfigRecord

        contribution, state = request.contribution, dict(request.state)
        averaged = contribution.weighted
        model = {averaged: state.pop(averaged)} if averaged else {}
        self._round += 1
        config = ConfigRecord(
            {
                "contribution": qualified_name(contribution.fn),
                "state": wire.pack(state),
                "step": -1 if request.step is None else request.step,
            }
        )
        self._asked = request
        arrays = ArrayRecord({name: Array(values) for name, values in model.items()})
        messages = strategy.configure_train(self._round, arrays, config, self._grid)
        return list(self._grid.send_and_receive(messages))

    def _answer(self, message: Any, context: Any) -> Any:
        """Compute one owner's reply; what Flower's client app runs."""
        from flwr.app import Message

        owner = self.owners[int(context.node_config["partition-id"])]
        with self.meter.phase("compute", party=owner.name):
            config = message.content["config"]
            arrays = {k: v.numpy() for k, v in message.content["arrays"].items()}
            state: State = {**wire.unpack(config["state"]), **arrays}
            contribution = replace(self._asked.contribution, fn=resolve(config["contribution"]))
            step = None if config["step"] < 0 else int(config["step"])
            request = SumRequest(contribution, state, self._asked.reader, step)
            content = self._reply(owner, request)
        return Message(content, reply_to=message)

    def _reply(self, owner: Owner, request: SumRequest) -> Any:
        """Return the record that one owner answers with."""
        raise NotImplementedError

    _share = never("federated learning moves no records, protected or not")
    _hold = not_yet("accumulators are not built for Flower's grid")
    _call = not_yet("single-party steps are not built for Flower's grid")
