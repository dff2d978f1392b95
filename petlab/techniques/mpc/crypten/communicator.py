"""CrypTen's communicator over petlab's links, and the dealer's end of them."""

from __future__ import annotations

import functools
import json
import operator
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from petlab.errors import ProtocolError
from petlab.techniques.mpc.crypten.tuples import Dealer
from petlab.techniques.mpc.traffic.hub import Hub


class Communicator:
    """What CrypTen's protocols ask of a network: opening masked values to all parties.

    Parameters
    ----------
    hub
        Links to the other compute parties.
    peers
        Names of all compute parties by rank, this one's too.
    """

    def __init__(self, hub: Hub, peers: list[str], rank: int) -> None:
        self._hub, self._rank, self._size = hub, rank, len(peers)
        self._others = [name for k, name in enumerate(peers) if k != rank]

    def get_rank(self) -> int:
        """Rank of this party."""
        return self._rank

    def get_world_size(self) -> int:
        """How many compute parties there are."""
        return self._size

    def all_reduce(self, values: Any, op: Any = None, batched: bool = False) -> Any:
        """Add (or XOR) shares of all parties, at all parties: one round."""
        tensors = values if batched else [values]
        arrays = [t.data.contiguous().numpy() for t in tensors]
        payload = b"".join(a.tobytes() for a in arrays)
        found = self._hub.exchange(dict.fromkeys(self._others, payload), self._others, "opening")
        join = operator.xor if op == torch.distributed.ReduceOp.BXOR else operator.add
        opened, at = [], 0
        for array in arrays:
            theirs = [_read(found[peer], at, array.size, array.shape) for peer in self._others]
            opened.append(functools.reduce(join, theirs, torch.from_numpy(array.copy())))
            at += 8 * array.size
        return opened if batched else opened[0]


def _read(payload: bytes, at: int, count: int, shape: tuple[int, ...]) -> Any:
    return torch.from_numpy(np.frombuffer(payload, np.int64, count, at).reshape(shape).copy())


class RemoteDealer:
    """Rank 0's way to a dealer in another process.

    A command like one before consumes the same tuples in the same order, so that they are
    asked for as soon as the command is announced, and are there when it runs.

    Attributes
    ----------
    wall_s
        Seconds spent waiting for it: work that could be done before the data is there.
    """

    def __init__(self, hub: Hub, name: str) -> None:
        self._hub, self._name, self.wall_s = hub, name, 0.0
        self._consumed: dict[Any, list[bytes]] = {}
        self._announced: deque[Any] = deque()
        self._asked: deque[bytes] = deque()
        self._ahead = 0
        self._current: list[bytes] | None = None

    def announce(self, signature: Any) -> None:
        """Hear of a command that runs after those announced before."""
        self._announced.append(signature)
        self._ask_ahead()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the command that was announced first."""
        signature = self._announced.popleft()
        known = self._ahead > 0
        self._ahead -= known
        self._current = None if known else []
        yield
        if self._current is not None:
            self._consumed.setdefault(signature, self._current)
        self._ask_ahead()

    def _ask_ahead(self) -> None:
        """Ask for all commands up to the first whose tuples are unknown: their order counts."""
        while self._ahead < len(self._announced):
            signature = self._announced[self._ahead]
            if signature not in self._consumed:
                return
            self._ahead += 1
            for request in self._consumed[signature]:
                self._ask(request)

    def __call__(self, kind: str, *arguments: Any) -> list[Any]:
        """Fetch corrections."""
        request = json.dumps([kind, *arguments]).encode()
        if self._current is not None:
            self._current.append(request)
            self._ask(request)
        if not self._asked or self._asked.popleft() != request:
            raise ProtocolError("a command consumed other tuples than one like it before.")
        started = time.perf_counter()
        payload = self._hub.receive(self._name, "correlated randomness")
        self.wall_s += time.perf_counter() - started
        return self._read(payload)

    def _ask(self, request: bytes) -> None:
        self._asked.append(request)
        self._hub.send(self._name, "tuple request", request)

    def _read(self, payload: bytes) -> list[Any]:
        head, _, body = payload.partition(b"\n")
        shapes, spent = json.loads(head)
        self._hub.log[-1] = replace(self._hub.log[-1], remote_s=spent)
        found, at = [], 0
        for shape in shapes:
            count = int(np.prod(shape))
            found.append(_read(body, at, count, tuple(shape)))
            at += 8 * count
        return found


def serve(hub: Hub, asker: str, dealer: Dealer) -> None:
    """Answer rank 0's requests until it leaves, at the dealer."""
    last = time.process_time()
    while True:
        kind, *arguments = json.loads(hub.receive(asker, "tuple request"))
        corrections = dealer.corrections(kind, *arguments)
        body = b"".join(c.contiguous().numpy().tobytes() for c in corrections)
        spent, last = time.process_time() - last, time.process_time()
        head = [[list(c.shape) for c in corrections], spent]
        answer = json.dumps(head).encode() + b"\n" + body
        hub.send(asker, "correlated randomness", answer)
        hub.log.clear()
