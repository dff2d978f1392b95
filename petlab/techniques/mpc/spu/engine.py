"""One compute party's engine under SPU: stores shares by number, carries out commands on them."""

from __future__ import annotations

import secrets
import time

import numpy as np

from petlab.errors import ProtocolError
from petlab.metering import wire
from petlab.techniques.mpc.spu.machine import FRACTION, Machine
from petlab.techniques.mpc.spu.mesh import Mesh
from petlab.techniques.mpc.spu.traffic import TOGETHER
from petlab.techniques.mpc.streams import KEY_BYTES, expanded, joined
from petlab.techniques.mpc.traffic.commands import Command
from petlab.techniques.mpc.traffic.hub import Event, Hub

PARTIES = 3
EXTRA_BITS = 10
"""Small factors get up to so many more fraction bits, to keep twenty significant ones."""


class Engine:
    """Carries out commands in step with the engines of the other parties.

    Parameters
    ----------
    hub
        Links to the other parties.
    parties
        Names of the three compute parties, by rank.
    hosts
        Where each can be reached, by rank.
    """

    offline_s = 0.0
    dealt = False

    def __init__(self, hub: Hub, parties: list[str], rank: int, *, hosts: list[str]) -> None:
        if len(parties) != PARTIES:
            raise ProtocolError(f"ABY3 is for {PARTIES} compute parties, not {len(parties)}.")
        self._hub = hub
        self._previous, self._next = parties[rank - 1], parties[(rank + 1) % PARTIES]
        self._mesh = Mesh(hub, parties, rank, hosts)
        self._machine = Machine(self._mesh.context)
        self._mesh.crossed()  # setting up is not a command's
        self._excess: list[str] = []
        self._ranges = 0

    def announce(self, command: Command) -> None:
        """Hear of a command that will be executed after those announced before."""

    def execute(self, command: Command) -> np.ndarray | None:
        """Carry out one command; return this party's share of what is revealed."""
        inputs = [str(number) for number in command.inputs]
        found = None
        if command.name == "free":
            for name in inputs:
                self._machine.drop(name)
        elif command.name == "sum":
            return joined(list(command.expanded().arrays.values()))
        elif command.name == "share":
            self._share(str(command.out), command.arrays["share"], **command.options)
        elif command.name == "reveal":
            found = self._machine.take_out(inputs[0])
        elif command.name == "declare":
            self._declare(inputs[0], **command.options)
        elif command.name == "compare":
            pass  # ranges are compared where they are declared
        elif command.name == "checks":
            found = self._checks()
        else:
            self._compute(command, inputs)
        self._count(command.name)
        return found

    def _share(self, name: str, share: np.ndarray, *, bits: int, shape: list[int]) -> None:
        """Give the previous party a copy: ABY3's parties hold two of three additive shares.

        What came as the key of a stream is passed on as a key.
        """
        payload = wire.pack({"share": share})
        found = self._hub.exchange({self._previous: payload}, [self._next], "resharing")
        pair = share, wire.unpack(found[self._next])["share"]
        self._machine.put(name, np.stack([expanded(s, shape) for s in pair], axis=-1), bits)

    def _compute(self, command: Command, inputs: list[str]) -> None:
        options, public = dict(command.options), []
        for label, values in command.arrays.items():
            array, down = self._prepared(command.name, values, inputs[0])
            if down != 1.0:
                options["down"] = down
            public.append(f"public-{label}")
            self._machine.put_public(public[-1], array)
        outputs = [str(command.out), f"excess-{command.out}"]
        found = self._machine.run(command.name, [*inputs, *public], outputs, **options)
        self._excess += found[1:]
        for name in public:
            self._machine.drop(name)

    def _declare(self, name: str, **ranges: float) -> None:
        self._ranges += 1
        self._excess += self._machine.run("declare", [name], [f"declared-{self._ranges}"], **ranges)

    def _prepared(self, name: str, values: np.ndarray, beside: str) -> tuple[np.ndarray, float]:
        """Return a public array as its command wants it, and what undoes its scaling."""
        if np.all(values == np.rint(values)):
            real = name == "add_public" and not self._machine.whole(beside)
            return values.astype(float if real else np.int64), 1.0
        if name != "scale":
            return values.astype(float), 1.0
        largest = max(float(np.abs(values).max(initial=0)), 2.0**-FRACTION)
        extra = int(np.clip(-np.floor(np.log2(largest)), 0, EXTRA_BITS))
        return np.ldexp(values, extra), 2.0**-extra

    def _checks(self) -> np.ndarray:
        """Zero if all values were in their declared ranges, else a random number."""
        if not self._excess:
            return np.zeros(1, np.int64)
        total, *others = self._excess
        for number, other in enumerate(others):
            total = self._machine.run("add", [total, other], [f"total-{number}"])[0]
        # Each party's word is part of the factor: two of three are needed to know it.
        key = np.frombuffer(secrets.token_bytes(KEY_BYTES), np.uint8)
        self._share("factor", key, bits=0, shape=[1])
        self._machine.run("multiply", [total, "factor"], ["checked"])
        found = self._machine.take_out("checked")
        totals = [f"total-{number}" for number in range(len(others))]
        for name in [*self._excess, *totals, "factor", "checked"]:
            self._machine.drop(name)
        self._excess = []
        return found

    def _count(self, label: str) -> None:
        """Log what SPU sent during a command."""
        actions, size = self._mesh.crossed()
        if actions:
            spent = time.process_time()
            self._hub.log.append(Event(TOGETHER, "", label, size, spent, actions))
