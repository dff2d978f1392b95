"""Authenticated, encrypted TCP links between processes.

Every process of one computation knows the same study secret. Two of them agree on keys by
X25519, bound to the secret and to both names, and seal each frame with AES-256-GCM under a
counter. Frames that are empty are heartbeats: a peer that is silent for too long is dead.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import select
import socket
import struct
import threading
import time

from petlab.errors import ProtocolError

HEARTBEAT_S = 2.0
SILENCE_S = 10.0
"""A peer that sends nothing, not even a heartbeat, for so long is taken for dead."""
GREETING_S = 5.0
"""Whoever calls has greeted, and shown that it knows the secret, in so many seconds."""
OVERHEAD = 24
"""Bytes that framing and authentication add to a message."""
_LENGTH = struct.Struct("<Q")
_PAYLOAD_MAX = (1 << 31) - 64
"""What AES-GCM takes in one piece."""
_FRAME_MAX = 1 << 31
_GREETING_MAX = 64
"""Until a peer has shown that it knows the secret, its frames are short."""
_CHUNK = 1 << 20


class PeerLost(ProtocolError):
    """A peer closed its link or fell silent."""


class Link:
    """One end of a link.

    Parameters
    ----------
    connection
        A connected socket.
    me, secret
        This process' name, and the study secret.
    expected
        The peer's name, when it is known; else the peer says it.

    Raises
    ------
    ProtocolError
        The other end does not know the study secret.
    """

    def __init__(
        self, connection: socket.socket, *, me: str, secret: bytes, expected: str | None = None
    ) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(SILENCE_S)
        self._socket = connection
        self._sent = self._received = 0
        self._buffer, self._unsent = bytearray(), b""
        self._longest = _GREETING_MAX
        self._sending = threading.Lock()
        try:
            self._greet(me, secret, expected)
        except ProtocolError:
            self.close()
            raise

    def _greet(self, me: str, secret: bytes, expected: str | None) -> None:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        key = X25519PrivateKey.from_private_bytes(secrets.token_bytes(32))
        mine = key.public_key().public_bytes_raw() + me.encode().ljust(32, b"\0")
        theirs = self._swapped(mine)
        self.peer = theirs[32:].rstrip(b"\0").decode(errors="replace")
        # A greeting that is sent back to its sender would authenticate: the keys are alike.
        if self.peer == me or self.peer != (expected or self.peer):
            raise ProtocolError(f"{me} reached {self.peer!r} where {expected!r} should be.")
        self._agree(key, mine, theirs, secret)
        self._last_heard = time.monotonic()
        self._socket.setblocking(False)
        self._confirm(me)

    def _agree(self, key: object, mine: bytes, theirs: bytes, secret: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.x25519 import (
            X25519PrivateKey,
            X25519PublicKey,
        )
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        assert isinstance(key, X25519PrivateKey)
        try:
            shared = key.exchange(X25519PublicKey.from_public_bytes(theirs[:32]))
        except ValueError:
            raise ProtocolError(f"{self.peer} sent a key that is none.") from None

        def derived(sender: bytes, receiver: bytes) -> AESGCM:
            salted = hmac.digest(secret, shared + sender + receiver, hashlib.sha256)
            return AESGCM(salted)

        self._seal, self._open = derived(mine, theirs), derived(theirs, mine)

    def _confirm(self, me: str) -> None:
        self.send(b"ready")
        try:
            if self.receive() != b"ready":
                raise ProtocolError("unexpected greeting")
        except ProtocolError as error:
            raise ProtocolError(
                f"{me} and {self.peer} do not share a study secret: {error}"
            ) from None
        self._longest = _FRAME_MAX

    def fileno(self) -> int:
        """File descriptor, for select."""
        return self._socket.fileno()

    def sealed(self, payload: bytes) -> bytes:
        """Return the next frame; it must be sent before any other."""
        if len(payload) > _PAYLOAD_MAX:
            raise ProtocolError("an array of 2 GiB or more does not fit a message: cut it up.")
        nonce = self._sent.to_bytes(12, "big")
        self._sent += 1
        body = self._seal.encrypt(nonce, payload, None)
        frame, self._unsent = self._unsent + _LENGTH.pack(len(body)) + body, b""
        return frame

    def send(self, payload: bytes) -> int:
        """Send one frame; return its size on the wire.

        A peer that is busy may take its time, as long as it shows that it lives.
        """
        with self._sending:
            frame = self.sealed(payload)
            rest = memoryview(frame)
            while rest := rest[self.push(rest) :]:
                ready, _, _ = select.select([self], [self], [], self._patience())
                self.fill(bool(ready))
        return len(frame)

    def begin(self, payload: bytes) -> memoryview:
        """Return a frame that is `push`ed in parts; `end` it before anything else is sent."""
        self._sending.acquire()
        return memoryview(self.sealed(payload))

    def end(self) -> None:
        """Let others send again after a pushed frame."""
        self._sending.release()

    def heartbeat(self) -> None:
        """Show that this process lives, unless it is sending anyway."""
        if not self._sending.acquire(blocking=False):
            return
        try:
            frame = memoryview(self._unsent or self.sealed(b""))
            self._unsent = bytes(frame[self.push(frame) :])
        except PeerLost:
            pass  # whoever reads from this link next will learn that it is broken
        finally:
            self._sending.release()

    def receive(self) -> bytes:
        """Wait for the next frame that is no heartbeat."""
        while True:
            frame = self.take()
            if frame is not None:
                return frame
            ready, _, _ = select.select([self], [], [], self._patience())
            self.fill(bool(ready))

    def pending(self, patience_s: float = 0.0) -> bytes | None:
        """Return a message that is there, or arrives within so many seconds, or None."""
        frame = self.take()
        while frame is None:
            ready, _, _ = select.select([self], [], [], patience_s)
            if not ready:
                return None
            self.fill(True)
            frame = self.take()
        return frame

    def check(self) -> None:
        """Raise if the peer is lost; what has arrived from it is kept."""
        ready, _, _ = select.select([self], [], [], 0)
        self.fill(bool(ready))

    def fill(self, readable: bool) -> None:
        """Read what has arrived.

        Raises
        ------
        PeerLost
            The link is closed, or silent for too long.
        """
        if not readable:
            if self._patience() <= 0:
                raise PeerLost(f"{self.peer} has been silent for {SILENCE_S:g} s.")
            return
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            raise PeerLost(f"the link to {self.peer} broke: {error}") from None
        if not data:
            raise PeerLost(f"{self.peer} closed its link.")
        self._buffer += data
        self._last_heard = time.monotonic()

    def take(self) -> bytes | None:
        """Return the next whole frame that has arrived, or None."""
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > self._longest:
                raise ProtocolError(f"{self.peer} sent a frame of an impossible length.")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return None
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            payload = self._opened(body)
            if payload:
                return payload
        return None

    def push(self, frame: memoryview) -> int:
        """Send as much of a frame as the socket takes now; return how much."""
        try:
            return self._socket.send(frame[:_CHUNK])
        except BlockingIOError:
            return 0
        except OSError as error:
            raise PeerLost(f"{self.peer} does not take messages: {error}") from None

    def close(self) -> None:
        """Close the link."""
        self._socket.close()

    def _opened(self, body: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag

        nonce = self._received.to_bytes(12, "big")
        try:
            payload = self._open.decrypt(nonce, body, None)
        except InvalidTag:
            raise ProtocolError(f"a frame of {self.peer} failed authentication.") from None
        self._received += 1
        return payload

    def _patience(self) -> float:
        return max(0.0, min(1.0, self._last_heard + SILENCE_S - time.monotonic()))

    def _swapped(self, mine: bytes) -> bytes:
        """Send a greeting, and wait for one of the same length."""
        found, deadline = b"", time.monotonic() + GREETING_S
        try:
            self._socket.sendall(mine)
            while len(found) < len(mine):
                # The whole of it in time, not every byte of it.
                self._socket.settimeout(max(0.01, deadline - time.monotonic()))
                part = self._socket.recv(len(mine) - len(found))
                if not part:
                    raise PeerLost("a peer closed its link before it greeted.")
                found += part
        except OSError as error:
            raise PeerLost(f"a peer did not greet: {error}") from None
        return found
