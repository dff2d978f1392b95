"""Modelled network time: what measured messages and computing would take over a link.

Every party has a full-duplex access link of the given rate. A message leaves when its
sender has finished computing and its uplink is free, and arrives one latency later,
when the receiver's downlink has taken it in. Parties compute side by side: only what
depends on a message waits for it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Link:
    """An access link: rate in bits per second, one-way latency in seconds."""

    name: str
    bits_per_s: float
    latency_s: float


LAN = Link("lan", bits_per_s=1e9, latency_s=2e-4)
WAN = Link("wan", bits_per_s=1e8, latency_s=5e-2)


@dataclass
class Timeline:
    """The clocks of all parties over one kind of link, in seconds from the start."""

    link: Link
    clock: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _uplink: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _downlink: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def compute(self, party: str, seconds: float) -> None:
        """Let a party work for so long."""
        self.clock[party] += seconds

    def deliver(self, sender: str, receiver: str, size: int) -> None:
        """Carry a message of `size` bytes; the receiver waits for it."""
        self.take(receiver, self.post(sender, receiver, size))

    def post(self, sender: str, receiver: str, size: int) -> float:
        """Put a message of `size` bytes on its way; return when it will be there."""
        on_wire = 8 * size / self.link.bits_per_s
        leaves = max(self.clock[sender], self._uplink[sender])
        self._uplink[sender] = leaves + on_wire
        arrives = max(leaves + self.link.latency_s, self._downlink[receiver]) + on_wire
        self._downlink[receiver] = arrives
        return arrives

    def take(self, receiver: str, arrival: float) -> None:
        """Let a receiver wait for what arrives at that time."""
        self.clock[receiver] = max(self.clock[receiver], arrival)

    @property
    def elapsed(self) -> float:
        """When the last party is done, in seconds."""
        return max(self.clock.values(), default=0.0)
