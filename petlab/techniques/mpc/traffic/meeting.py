"""How processes on several hosts find each other: one listens, the other calls."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time

from petlab.errors import ProtocolError, UsageError
from petlab.techniques.mpc.traffic.links import SILENCE_S, Link, PeerLost

MEETING_S = 60.0
"""How long processes wait for each other at the start."""
BACKLOG = 64
AT_ONCE = 32
"""Callers that are asked for the secret at the same time; further ones are sent away."""


class Door:
    """Takes calls, and lets in whoever knows the study secret.

    Anybody can call a port. A stranger that sends junk, or nothing, is dropped, and nobody
    waits for it: every caller is greeted in a thread of its own.

    Parameters
    ----------
    listener
        A listening socket, which the door closes.
    me, secret
        This process' name, and the study secret.
    """

    def __init__(self, listener: socket.socket, *, me: str, secret: bytes) -> None:
        self._listener, self._me, self._secret = listener, me, secret
        self._inside: queue.Queue[Link] = queue.Queue()
        self._places = threading.BoundedSemaphore(AT_ONCE)
        self._closed, self._handing = threading.Event(), threading.RLock()
        self.turned_away = 0
        """Callers that did not show that they know the secret."""
        threading.Thread(target=self._accept, daemon=True).start()

    def entered(self, patience_s: float) -> Link | None:
        """Return the link of a peer that came in, or None if nobody did in so many seconds."""
        try:
            return self._inside.get(timeout=patience_s)
        except queue.Empty:
            return None

    def close(self) -> None:
        """Take no more calls, and let those go that nobody asked for."""
        with self._handing:
            self._closed.set()
        with contextlib.suppress(OSError):  # wakes the thread that waits for calls
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        while link := self.entered(0):
            link.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if self._places.acquire(blocking=False):
                threading.Thread(target=self._greet, args=(connection,), daemon=True).start()
            else:
                connection.close()

    def _greet(self, connection: socket.socket) -> None:
        try:
            link = Link(connection, me=self._me, secret=self._secret)
        except (ProtocolError, OSError):
            self.turned_away += 1
            connection.close()
            return
        finally:
            self._places.release()
        with self._handing:
            # Once it is inside it belongs to who takes it, who may close the door at once.
            if self._closed.is_set():
                link.close()
            else:
                self._inside.put(link)


def called(door: Door, coordinator: Link) -> Link:
    """Wait for a peer to come in, as long as the coordinator is there."""
    deadline = time.monotonic() + MEETING_S
    while (link := door.entered(0.2)) is None:
        coordinator.check()
        if time.monotonic() > deadline:
            raise PeerLost(f"a peer did not call in {MEETING_S:g} s.")
    return link


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
