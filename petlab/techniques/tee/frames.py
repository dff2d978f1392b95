"""Messages over a pipe or socket: a JSON head and a body of bytes."""

from __future__ import annotations

import json
import os
import socket
import struct
from typing import Any

from petlab.errors import ProtocolError

_SIZES = struct.Struct(">IQ")
_CHUNK = 1 << 20


class Silent(ProtocolError):
    """The other end is there, and neither sends nor reads."""


class Channel:
    """Reads and writes frames on two file descriptors, which may be the same.

    Parameters
    ----------
    reading, writing
        File descriptors; this object closes them.
    patience_s
        How long to wait for the next bytes, or for room to write more; None for ever. With it
        the descriptors have to be sockets.
    """

    def __init__(self, reading: int, writing: int, *, patience_s: float | None = None) -> None:
        self._reading, self._writing = reading, writing
        self._patience_s = patience_s
        if patience_s is not None:
            _limit(reading, socket.SO_RCVTIMEO, patience_s)
            _limit(writing, socket.SO_SNDTIMEO, patience_s)

    def fileno(self) -> int:
        """Descriptor that is read from, for select."""
        return self._reading

    def send(self, head: dict[str, Any], body: bytes = b"") -> None:
        """Write one frame.

        Raises
        ------
        Silent
            The other end reads nothing.
        ProtocolError
            The other end is gone.
        """
        packed = json.dumps(head).encode()
        data = memoryview(_SIZES.pack(len(packed), len(body)) + packed + body)
        try:
            while data:
                data = data[os.write(self._writing, data[:_CHUNK]) :]
        except BlockingIOError:
            raise self._silent() from None
        except OSError as error:
            raise ProtocolError(f"the other process is gone: {error.strerror}.") from None

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """Read one frame.

        Raises
        ------
        Silent
            The other end sends nothing.
        ProtocolError
            The other end is gone.
        """
        head_size, body_size = _SIZES.unpack(self._exactly(_SIZES.size))
        head = json.loads(self._exactly(head_size))
        return head, self._exactly(body_size)

    def ask(self, head: dict[str, Any], body: bytes = b"") -> tuple[dict[str, Any], bytes]:
        """Send one frame and read the answer."""
        self.send(head, body)
        return self.receive()

    def close(self) -> None:
        """Close both directions."""
        for descriptor in {self._reading, self._writing} - {-1}:
            os.close(descriptor)
        self._reading = self._writing = -1

    def hand(self, descriptor: int) -> None:
        """Give the process at the other end of a socket one of this process' descriptors."""
        with socket.socket(fileno=os.dup(self._writing)) as link:
            socket.send_fds(link, [b"\0"], [descriptor])

    def handed(self) -> int:
        """Take what the other end handed over."""
        with socket.socket(fileno=os.dup(self._reading)) as link:
            _, descriptors, _, _ = socket.recv_fds(link, 1, 1)
        if not descriptors:
            raise ProtocolError("the other process handed nothing over.")
        return descriptors[0]

    def _exactly(self, count: int) -> bytes:
        parts, missing = [], count
        while missing:
            try:
                part = os.read(self._reading, min(missing, _CHUNK))
            except BlockingIOError:
                raise self._silent() from None
            except OSError:
                part = b""
            if not part:
                raise ProtocolError("the other process ended in the middle of a message.")
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def _silent(self) -> Silent:
        return Silent(f"no sign of life from the other process for {self._patience_s:g} s.")


def _limit(descriptor: int, option: int, seconds: float) -> None:
    """Let the kernel end reads or writes that wait for longer: they raise BlockingIOError."""
    whole = int(seconds)
    packed = struct.pack("@ll", whole, int((seconds - whole) * 1e6))
    with socket.socket(fileno=os.dup(descriptor)) as link:
        link.setsockopt(socket.SOL_SOCKET, option, packed)
