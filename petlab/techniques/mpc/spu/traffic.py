"""What SPU sent during a command, as messages between the parties."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np

from petlab.errors import ProtocolError
from petlab.techniques.mpc.traffic.hub import Event

TOGETHER = "together"
"""Kind of an event that stands for all that SPU sent in a command; see `expanded`."""


def expanded(logs: Mapping[str, Sequence[Event]]) -> dict[str, list[Event]]:
    """Replace what parties did together by messages.

    SPU counts a party's bytes and send actions, and does not say to whom. In each round every
    party sends to the previous one, as in ABY3's multiplication; there are as many rounds as
    the busiest party had send actions, and its bytes are spread evenly over them. The number
    of bytes is thus measured, and their order in time is modelled.

    Raises
    ------
    ProtocolError
        The parties did not carry out the same commands.
    """
    names = list(logs)
    together = [[e for e in events if e.kind == TOGETHER] for events in logs.values()]
    if len({len(events) for events in together}) > 1:
        raise ProtocolError("the parties' logs do not fit together.")
    rounds = [max(int(e.remote_s or 0) for e in same) for same in zip(*together, strict=True)]
    return {
        name: list(_messages(events, rounds, names[k - 1], names[(k + 1) % len(names)]))
        for k, (name, events) in enumerate(logs.items())
    }


def _messages(
    events: Sequence[Event], rounds: Sequence[int], previous: str, following: str
) -> Iterator[Event]:
    counts = iter(rounds)
    for event in events:
        if event.kind != TOGETHER:
            yield event
            continue
        ends = np.linspace(0, event.size, next(counts) + 1).astype(int)
        for start, end in pairwise(ends.tolist()):
            yield Event("send", previous, event.label, end - start, event.cpu_s)
            yield Event("recv", following, event.label, 0, event.cpu_s)
