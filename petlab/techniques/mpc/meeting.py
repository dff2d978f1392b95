"""How processes on several hosts find each other: one listens, the other calls."""

from __future__ import annotations

import socket
import time

from petlab.errors import UsageError
from petlab.techniques.mpc.links import SILENCE_S, Link, PeerLost

MEETING_S = 60.0
"""How long processes wait for each other at the start."""


def called(listener: socket.socket, coordinator: Link) -> socket.socket:
    """Wait for a peer's call, as long as the coordinator is there."""
    deadline = time.monotonic() + MEETING_S
    listener.settimeout(0.2)
    while True:
        try:
            return listener.accept()[0]
        except TimeoutError:
            coordinator.check()
            if time.monotonic() > deadline:
                raise PeerLost(f"a peer did not call in {MEETING_S:g} s.") from None


def reach(address: tuple[str, int], whom: str, coordinator: Link | None = None) -> socket.socket:
    """Call a process that may not listen yet, as long as the coordinator, if known, is there."""
    deadline = time.monotonic() + MEETING_S
    while True:
        try:
            return socket.create_connection(address, timeout=SILENCE_S)
        except OSError as error:
            if coordinator:
                coordinator.check()
            if time.monotonic() > deadline:
                raise PeerLost(f"{whom} cannot be reached: {error}") from None
            time.sleep(0.1)


def split_address(address: str) -> tuple[str, int]:
    """Read HOST:PORT.

    Raises
    ------
    UsageError
        It is nothing of the kind.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"{address!r} is not HOST:PORT.")
    return host, int(port)
