"""Every message between two parties: counted, authenticated, and open to inspection."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from petlab.errors import ProtocolError
from petlab.metering.network import LAN, WAN, Timeline


@dataclass(frozen=True)
class Message:
    """One message as it went over the wire.

    Attributes
    ----------
    size
        Bytes on the wire, authenticated encryption included.
    depth
        Place in the longest causal chain of messages that led to it.
    payload
        What the receiver read, kept only by a recording transcript.
    """

    sender: str
    receiver: str
    label: str
    size: int
    depth: int
    payload: bytes | None


@dataclass(frozen=True)
class Posted:
    """A message on its way, and when it arrives on each modelled network."""

    message: Message
    arrivals: tuple[float, ...]


class SecureLink:
    """One direction of an authenticated, encrypted link between two named parties.

    The key is agreed by X25519 between the parties' identity keys, which are taken to be
    certified beforehand; each message is sealed with AES-256-GCM under a counter, bound
    to its label, so that a message altered, replayed or moved to another link is refused.
    """

    def __init__(self, sender: str, receiver: str, secret: bytes) -> None:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        self.name = f"{sender} to {receiver}"
        derive = HKDF(hashes.SHA256(), 32, salt=None, info=self.name.encode())
        self._cipher = AESGCM(derive.derive(secret))
        self._sent = self._received = 0

    def seal(self, label: str, payload: bytes) -> bytes:
        """Encrypt the next message of this link."""
        nonce = self._sent.to_bytes(12, "big")
        self._sent += 1
        return self._cipher.encrypt(nonce, payload, label.encode())

    def open(self, label: str, sealed: bytes) -> bytes:
        """Decrypt the next message of this link.

        Raises
        ------
        ProtocolError
            It was altered, replayed, reordered, or sealed for another link or label.
        """
        from cryptography.exceptions import InvalidTag

        nonce = self._received.to_bytes(12, "big")
        try:
            payload = self._cipher.decrypt(nonce, sealed, label.encode())
        except InvalidTag:
            raise ProtocolError(f"{self.name}: a message failed authentication.") from None
        self._received += 1
        return payload


class Transcript:
    """All traffic of one run.

    Parameters
    ----------
    record
        Keep the payloads, so that a party's view can be attacked. Costs memory.
    """

    def __init__(self, *, record: bool = False) -> None:
        self.messages: list[Message] = []
        self.timelines = (Timeline(LAN), Timeline(WAN))
        self.before_send: Callable[[], None] = lambda: None
        self.recording = record
        self._depth: dict[str, int] = defaultdict(int)
        self._identities: dict[str, object] = {}
        self._links: dict[tuple[str, str], SecureLink] = {}

    def send(self, sender: str, receiver: str, label: str, payload: bytes) -> bytes:
        """Carry bytes from one party to another; return what the receiver reads.

        Raises
        ------
        ProtocolError
            The payload is not bytes, or a party sends to itself.
        """
        if not isinstance(payload, bytes | bytearray | memoryview):
            raise ProtocolError(f"{label}: only bytes travel, not {type(payload).__name__}.")
        if sender == receiver:
            raise ProtocolError(f"{label}: {sender} sends to itself.")
        self.before_send()
        link = self._link(sender, receiver)
        sealed = link.seal(label, bytes(payload))
        opened = link.open(label, sealed)
        self.take(self.post(sender, receiver, label, len(sealed), payload=opened))
        return opened

    def post(
        self, sender: str, receiver: str, label: str, size: int, *, payload: bytes | None = None
    ) -> Posted:
        """Count a message that another transport carries; `take` it where it is read.

        Two parties that send to each other at the same time post first and take later, so
        that neither is modelled as waiting for the other before it sends.
        """
        depth = self._depth[sender] + 1
        arrivals = tuple(line.post(sender, receiver, size) for line in self.timelines)
        kept = payload if self.recording else None
        message = Message(sender, receiver, label, size, depth, kept)
        self.messages.append(message)
        return Posted(message, arrivals)

    def take(self, posted: Posted) -> None:
        """Let the receiver of a posted message read it."""
        message = posted.message
        self._depth[message.receiver] = max(self._depth[message.receiver], message.depth)
        for timeline, arrival in zip(self.timelines, posted.arrivals, strict=True):
            timeline.take(message.receiver, arrival)

    def compute(self, party: str, seconds: float) -> None:
        """Let the modelled clocks of a party run on while it computes."""
        for timeline in self.timelines:
            timeline.compute(party, seconds)

    @property
    def rounds(self) -> int:
        """Length of the longest causal chain of messages."""
        return max((m.depth for m in self.messages), default=0)

    @property
    def bytes(self) -> int:
        """Bytes on all wires together."""
        return sum(m.size for m in self.messages)

    def bytes_sent(self, party: str) -> int:
        """Bytes that one party put on the wire."""
        return sum(m.size for m in self.messages if m.sender == party)

    def view(self, party: str) -> list[Message]:
        """Return what a party received, in order: with its own inputs, all it can know."""
        return [m for m in self.messages if m.receiver == party]

    def summary(self) -> dict[str, list[dict[str, object]]]:
        """List each party's view: who sent it what, how often, how many bytes."""
        counted: dict[str, dict[tuple[str, str], list[int]]] = defaultdict(dict)
        for m in self.messages:
            _ = counted[m.sender]  # who receives nothing has an empty view, not none
            entry = counted[m.receiver].setdefault((m.sender, m.label), [0, 0])
            entry[0] += 1
            entry[1] += m.size
        return {
            party: [
                {"sender": sender, "what": label, "messages": n, "bytes": size}
                for (sender, label), (n, size) in entries.items()
            ]
            for party, entries in counted.items()
        }

    def _link(self, sender: str, receiver: str) -> SecureLink:
        if (sender, receiver) not in self._links:
            from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

            def identity(party: str) -> X25519PrivateKey:
                key = X25519PrivateKey.from_private_bytes(secrets.token_bytes(32))
                return self._identities.setdefault(party, key)  # type: ignore[return-value]

            secret = identity(sender).exchange(identity(receiver).public_key())
            self._links[sender, receiver] = SecureLink(sender, receiver, secret)
        return self._links[sender, receiver]
