"""All links of one process, and a log of what crossed them."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from petlab.techniques.mpc.traffic.links import HEARTBEAT_S, OVERHEAD, Link


@dataclass(frozen=True)
class Event:
    """One thing that a process did: "send" or "recv" a message.

    Attributes
    ----------
    cpu_s
        CPU seconds of the process when it did.
    size
        Bytes on the wire.
    remote_s
        CPU seconds that the peer spent on this answer; None for what is no answer.
    """

    kind: str
    peer: str
    label: str
    size: int
    cpu_s: float
    remote_s: float | None = None


class Hub:
    """All links of one process, with a heartbeat on each and a log of all messages.

    Parameters
    ----------
    me
        Name of this process.
    """

    def __init__(self, me: str) -> None:
        self.me, self.links = me, dict[str, Link]()
        self.log: list[Event] = []
        self._received: list[tuple[str, str, bytes]] = []
        self._recording = False
        self._ended = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()

    def add(self, link: Link) -> None:
        """Take a link on."""
        self.links[link.peer] = link

    def record(self, wanted: bool) -> None:
        """Keep what is received from now on, so that a party's view can be attacked."""
        self._recording = wanted

    def forget(self) -> list[tuple[str, str, bytes]]:
        """Return what was recorded as (sender, label, payload), and forget it."""
        found, self._received = self._received, []
        return found

    def send(self, peer: str, label: str, payload: bytes) -> None:
        """Send one message."""
        size = self.links[peer].send(payload)
        self._note("send", peer, label, size)

    def receive(self, peer: str, label: str) -> bytes:
        """Wait for one message."""
        payload = self.links[peer].receive()
        self.took(peer, label, payload)
        return payload

    def await_from(self, peer: str) -> bytes:
        """Wait for one peer's message, which is not logged, while all peers must live."""
        links = list(self.links.values())
        while (payload := self.links[peer].take()) is None:
            ready, _, _ = select.select(links, [], [], 1.0)
            for link in links:
                link.fill(link in ready)
        return payload

    def exchange(
        self, outgoing: Mapping[str, bytes], incoming: Iterable[str], label: str
    ) -> dict[str, bytes]:
        """Send and receive at the same time, so that full buffers cannot block both ends."""
        queues: dict[str, memoryview] = {}
        for peer, payload in outgoing.items():
            queues[peer] = self.links[peer].begin(payload)
            self._note("send", peer, label, len(queues[peer]))
        waiting, found = set(incoming), dict[str, bytes]()
        try:
            while queues or waiting:
                self._advance(queues, waiting, found)
        finally:
            for peer in queues:
                self.links[peer].end()
        for peer, payload in found.items():
            self.took(peer, label, payload)
        return found

    def close(self) -> None:
        """Close all links."""
        self._ended.set()
        for link in self.links.values():
            link.close()

    def _advance(
        self, queues: dict[str, memoryview], waiting: set[str], found: dict[str, bytes]
    ) -> None:
        for peer in list(queues):
            queues[peer] = queues[peer][self.links[peer].push(queues[peer]) :]
            if not queues[peer]:
                del queues[peer]
                self.links[peer].end()
        for peer in list(waiting):
            frame = self.links[peer].take()
            if frame is not None:
                found[peer] = frame
                waiting.discard(peer)
        if not queues and not waiting:
            return
        # A peer to which there is only to send is listened to as well: it has to live.
        reading = [self.links[peer] for peer in {*waiting, *queues}]
        writing = [self.links[peer] for peer in queues]
        ready, _, _ = select.select(reading, writing, [], 1.0)
        for link in reading:
            link.fill(link in ready)

    def took(self, peer: str, label: str, payload: bytes) -> None:
        """Log a message that was read from a link."""
        self._note("recv", peer, label, len(payload) + OVERHEAD)
        if self._recording:
            self._received.append((peer, label, payload))

    def _note(self, kind: str, peer: str, label: str, size: int) -> None:
        self.log.append(Event(kind, peer, label, size, time.process_time()))

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_S):
            for link in list(self.links.values()):
                link.heartbeat()
