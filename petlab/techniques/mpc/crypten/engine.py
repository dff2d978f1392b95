"""One compute party's engine: stores shares by number and carries out commands on them."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from petlab.errors import ProtocolError
from petlab.techniques.mpc.bounds import LEAST, SLACK
from petlab.techniques.mpc.crypten import compat, functions
from petlab.techniques.mpc.crypten.communicator import Communicator, RemoteDealer, serve
from petlab.techniques.mpc.crypten.ring import Ring, Shared
from petlab.techniques.mpc.crypten.tuples import Dealer, Tuples
from petlab.techniques.mpc.streams import KEY_BYTES, Stream, joined
from petlab.techniques.mpc.traffic.commands import Command
from petlab.techniques.mpc.traffic.hub import Hub


class Engine:
    """Carries out commands in step with the engines of the other parties.

    Parameters
    ----------
    hub
        Links to the other parties.
    parties
        Names of the compute parties, by rank.
    dealer
        Name of the dealer's process, or None: rank 0 deals, and can see the others' inputs.
    """

    def __init__(self, hub: Hub, parties: list[str], rank: int, *, dealer: str | None) -> None:
        compat.load()
        torch.set_num_threads(1)
        self._store: dict[int, Shared] = {}
        self._ranges: list[tuple[Shared, float, float]] = []
        self._excess: list[Shared] = []
        communicator = Communicator(hub, parties, rank)
        stream, self._dealer = _meet_dealer(hub, parties, rank, dealer)
        self._ring = Ring(rank, Tuples(rank, stream, self._dealer), communicator)
        previous, following = _neighbours(hub, parties, rank)
        compat.connect(communicator, self._ring.tuples, previous=previous, following=following)

    @property
    def offline_s(self) -> float:
        """Seconds spent on waiting for the dealer."""
        return getattr(self._dealer, "wall_s", 0.0)

    @property
    def dealt(self) -> bool:
        """Whether any correlated randomness was used."""
        return self._ring.tuples.used

    def announce(self, command: Command) -> None:
        """Hear of a command that will be executed after those announced before."""
        if isinstance(self._dealer, RemoteDealer):
            self._dealer.announce(command.signature)

    def execute(self, command: Command) -> np.ndarray | None:
        """Carry out one command; return this party's share of what is revealed."""
        if isinstance(self._dealer, RemoteDealer):
            with self._dealer.running():
                return self._carry_out(command)
        return self._carry_out(command)

    def _carry_out(self, announced: Command) -> np.ndarray | None:
        command = announced.expanded()
        inputs = [self._store[number] for number in command.inputs]
        if command.name == "free":
            for number in command.inputs:
                del self._store[number]
            return None
        if command.name == "sum":
            return joined(list(command.arrays.values()))
        if command.name == "reveal":
            return inputs[0].share.numpy()
        if command.name == "declare":
            self._declared(inputs[0], **command.options)
            return None
        if command.name == "compare":
            self._compare()
            return None
        if command.name == "checks":
            return self._checks()
        step: Callable[..., Shared] | None = getattr(self, f"_do_{command.name}", None)
        if step is None or command.out is None:
            raise ProtocolError(f"compute parties know no command {command.name!r}.")
        self._store[command.out] = step(*inputs, **command.options, **command.arrays)
        return None

    def _checks(self) -> np.ndarray:
        """Zero if all values were in their declared ranges, else a random number."""
        if not self._excess:
            return np.zeros(1, np.int64)
        total = self._excess[0]
        for other in self._excess[1:]:
            total = self._ring.add(total, other)
        self._excess = []
        return self._ring.randomised(self._ring.positive(total)).share.numpy()

    def _declared(self, value: Shared, low: float, high: float) -> None:
        below, above = (SLACK * max(abs(bound), LEAST) for bound in (low, high))
        self._ranges.append((value, low - below, high + above))

    def _compare(self) -> None:
        """Count what leaves the ranges declared so far, by one comparison of everything."""
        self._excess.append(functions.excess(self._ring, self._ranges))
        self._ranges = []

    # Commands: each takes stored shares, public numbers and public arrays.

    def _do_share(self, *, bits: int, share: np.ndarray) -> Shared:
        return Shared(torch.from_numpy(share), bits)

    def _do_add(self, left: Shared, right: Shared) -> Shared:
        return self._ring.add(left, right)

    def _do_add_public(self, value: Shared, *, public: np.ndarray) -> Shared:
        return self._ring.add_public(value, public)

    def _do_scale(self, value: Shared, *, factor: np.ndarray) -> Shared:
        return self._ring.scale(value, factor)

    def _do_multiply(self, left: Shared, right: Shared) -> Shared:
        return self._ring.multiply(left, right)

    def _do_matmul(self, left: Shared, right: Shared) -> Shared:
        return self._ring.matmul(left, right)

    def _do_matmul_public(self, value: Shared, *, public: np.ndarray) -> Shared:
        return self._ring.matmul_public(value, public)

    def _do_square(self, value: Shared) -> Shared:
        return self._ring.square(value)

    def _do_transpose(self, value: Shared) -> Shared:
        return value.T

    def _do_take(self, value: Shared, *, index: np.ndarray) -> Shared:
        return value[torch.from_numpy(index)]

    def _do_stack(self, *values: Shared) -> Shared:
        return functions.joined(list(values), axis=0)

    def _do_total(self, value: Shared, *, axis: int) -> Shared:
        return self._ring.total(value, axis)

    def _do_positive(self, value: Shared) -> Shared:
        return self._ring.positive(value)

    def _do_exp(self, value: Shared, *, low: float, high: float) -> Shared:
        self._declared(value, low, high)
        return functions.exp(self._ring, value, low, high)

    def _do_reciprocal(self, value: Shared, *, low: float, high: float) -> Shared:
        self._declared(value, low, high)
        return functions.reciprocal(self._ring, value, low, high)

    def _do_inv_sqrt(self, value: Shared, *, low: float, high: float) -> Shared:
        self._declared(value, low, high)
        return functions.inv_sqrt(self._ring, value, low, high)

    def _do_sigmoid(self, value: Shared, *, low: float, high: float) -> Shared:
        self._declared(value, low, high)
        return functions.sigmoid(self._ring, value, high)

    def _do_softmax(self, value: Shared, *, low: float, high: float) -> Shared:
        self._declared(value, low, high)
        return functions.softmax(self._ring, value, high)


def _meet_dealer(
    hub: Hub, parties: list[str], rank: int, dealer: str | None
) -> tuple[Stream, Callable[..., list[Any]]]:
    """Agree on a stream with the dealer; return it, and how to fetch corrections."""
    key = secrets.token_bytes(KEY_BYTES)
    if dealer is not None:
        hub.send(dealer, "seed", key)
        return Stream(key), RemoteDealer(hub, dealer)
    if rank:
        hub.send(parties[0], "seed", key)
        return Stream(key), _nobody
    keys = [key, *(hub.receive(name, "seed") for name in parties[1:])]
    return Stream(key), Dealer([Stream(known) for known in keys]).corrections


def serve_as_dealer(hub: Hub, parties: list[str]) -> None:
    """Answer rank 0's requests until it leaves."""
    compat.load()
    torch.set_num_threads(1)
    dealer = Dealer([Stream(hub.receive(name, "seed")) for name in parties])
    serve(hub, parties[0], dealer)


def _neighbours(hub: Hub, parties: list[str], rank: int) -> tuple[Stream, Stream]:
    """Streams shared with the previous and the next party: theirs, and one of this party's."""
    following, previous = parties[(rank + 1) % len(parties)], parties[rank - 1]
    key = secrets.token_bytes(KEY_BYTES)
    found = hub.exchange({following: key}, [previous], "seed")
    return Stream(found[previous]), Stream(key)


def _nobody(*_: Any) -> list[Any]:
    raise ProtocolError("only rank 0 asks the dealer.")
