"""Puts what happened between other processes into the transcript, in causal order."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence

from petlab.errors import ProtocolError
from petlab.metering.transcript import Posted, Transcript
from petlab.techniques.mpc.traffic.hub import Event


class Replay:
    """Merges the logs of all processes, and lets the modelled clocks follow them.

    Parameters
    ----------
    transcript
        Where messages are counted.
    process
        Name by which the logs call the process that owns the transcript.
    """

    def __init__(self, transcript: Transcript, process: str) -> None:
        self._transcript, self._process = transcript, process
        self._under_way: dict[tuple[str, str], deque[Posted]] = defaultdict(deque)
        self._cpu: dict[str, float] = {}

    def sent(self, sender: str, receiver: str, label: str, size: int) -> None:
        """A role of this process sent something to another process."""
        posted = self._transcript.post(sender, receiver, label, size)
        self._under_way[self._process, receiver].append(posted)

    def received(self, sender: str) -> None:
        """A role of this process reads the next message of another process."""
        self._transcript.take(self._under_way[sender, self._process].popleft())

    def start(self, party: str, cpu_s: float) -> None:
        """Begin a party's clock: what it spent before was preparation."""
        self._cpu[party] = cpu_s

    def merge(self, logs: Mapping[str, Sequence[Event]], reader: str) -> None:
        """Count what other processes did since the last time.

        Parameters
        ----------
        logs
            Events by party.
        reader
            The role of this process to which messages go.

        Raises
        ------
        ProtocolError
            A party says it received what nobody sent.
        """
        waiting = {party: deque(events) for party, events in logs.items()}
        while any(waiting.values()):
            moved = [self._advance(party, events, reader) for party, events in waiting.items()]
            if not any(moved):
                raise ProtocolError("the parties' logs do not fit together.")

    def _advance(self, party: str, events: deque[Event], reader: str) -> bool:
        """Follow one party until it waits for what was not sent yet."""
        moved = False
        while events:
            event = events[0]
            if event.kind == "recv" and not self._arrives(party, event):
                return moved
            events.popleft()
            moved = True
            self._compute(party, event.cpu_s)
            if event.kind == "send":
                self._post(party, event, reader)
            else:
                self._transcript.take(self._under_way[event.peer, party].popleft())
        return moved

    def _arrives(self, party: str, event: Event) -> bool:
        if self._under_way[event.peer, party]:
            return True
        if event.remote_s is None:
            return False
        # The dealer keeps no log: it answers each request as soon as it has it.
        self._transcript.take(self._under_way[party, event.peer].popleft())
        self._transcript.compute(event.peer, event.remote_s)
        posted = self._transcript.post(event.peer, party, event.label, event.size)
        self._under_way[event.peer, party].append(posted)
        return True

    def _post(self, party: str, event: Event, reader: str) -> None:
        to_us = event.peer == self._process
        receiver = reader if to_us else event.peer
        posted = self._transcript.post(party, receiver, event.label, event.size)
        self._under_way[party, event.peer].append(posted)

    def _compute(self, party: str, cpu_s: float) -> None:
        self._transcript.compute(party, max(0.0, cpu_s - self._cpu.get(party, cpu_s)))
        self._cpu[party] = cpu_s
