"""The host: relays every message, stores what it is given, and is trusted with nothing.

What it sees is kept, so that tests can search it for anything that it should not know.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import time
from typing import Any

from petlab.core.children import running
from petlab.errors import ProtocolError
from petlab.techniques.tee.frames import Channel, Silent
from petlab.techniques.tee.liveness import BEAT_S, STOPPED_S, stopped


class Host:
    """Relays between the parties outside and the enclave and device inside.

    Parameters
    ----------
    outside
        Channel to the parties, whose end is this one's, too.
    secret
        Descriptor on which the manufacturer's key reaches the device; never read here.
    folders
        Further folders of tasks, which the device measures too.
    """

    def __init__(self, outside: Channel, secret: int, folders: list[str]) -> None:
        self._outside = outside
        here, there = socket.socketpair()
        requests, answers = socket.socketpair()
        given = [answers.fileno(), secret, there.fileno()]
        self._device_process = subprocess.Popen(
            [*running("petlab.techniques.tee.platform"), *map(str, given), *folders],
            pass_fds=given,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for descriptor in given:
            os.close(descriptor)
        there.detach()
        answers.detach()
        enclave, device = here.detach(), requests.detach()
        self._inside = {"enclave": _inner(enclave), "device": _inner(device)}
        self._wait_for("device")
        self._inside["device"].receive()
        self._seen: list[bytes] = []
        self._stored = b""

    def relay(self, request: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """Pass a request on and its answer back, and keep both."""
        to = request.pop("to")
        if to == "host":
            return self._own(request, body)
        self._seen += [repr(request).encode(), body]
        try:
            self._inside[to].send(request, body)
            self._wait_for(to)
            head, answer = self._inside[to].receive()
        except Stopped as error:
            return {"refused": "ProtocolError", "reason": str(error)}, b""
        except Silent:
            return {"refused": "ProtocolError", "reason": f"the {to}'s process is silent."}, b""
        except ProtocolError:
            return {"refused": "ProtocolError", "reason": f"the {to}'s process has ended."}, b""
        self._seen += [repr(head).encode(), answer]
        if request.get("do") == "provision":
            self._stored = answer
        return head, answer

    def _own(self, request: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        if request["do"] == "seen":
            return {}, b"".join(self._seen)
        if request["do"] == "restart":
            return self._restart()
        return {}, self._stored

    def _wait_for(self, name: str) -> None:
        """Wait for an answer, with signs of life to the parties, unless they leave meanwhile.

        Raises
        ------
        Stopped
            The answer cannot come: a process was stopped, and not for a moment.
        """
        since: float | None = None
        while True:
            ready, _, _ = select.select([self._inside[name], self._outside], [], [], BEAT_S)
            if self._inside[name] in ready:
                return
            if ready:  # nothing comes from the parties now but their end
                raise SystemExit
            self._outside.send({"working": True})
            halted = stopped()
            since = (since or time.monotonic()) if halted else None
            if since is not None and time.monotonic() - since >= STOPPED_S:
                which = "device" if halted[0] == self._device_process.pid else "enclave"
                raise Stopped(
                    f"the {which}'s process is stopped, and has been for {STOPPED_S:g} s."
                )

    def _restart(self) -> tuple[dict[str, Any], bytes]:
        """Let the device end its enclave and prepare another, which holds nothing."""
        here, there = socket.socketpair()
        device, enclave = self._inside["device"], here.detach()
        device.send({"do": "restart"})
        device.hand(there.fileno())
        there.close()
        self._inside["enclave"].close()
        self._inside["enclave"] = _inner(enclave)
        self._wait_for("device")
        return device.receive()

    def close(self) -> None:
        """End device and enclave."""
        self._device_process.kill()
        self._device_process.wait()


class Stopped(ProtocolError):
    """A process below the host does not run."""


def _inner(descriptor: int) -> Channel:
    """A channel to device or enclave, which read at once or are stopped."""
    return Channel(descriptor, descriptor, patience_s=STOPPED_S)


def main() -> None:
    """Run as a child of the process that plays owners and analyst."""
    outside, secret = int(sys.argv[1]), int(sys.argv[2])
    channel = Channel(outside, outside)
    host = Host(channel, secret, sys.argv[3:])
    try:
        with contextlib.suppress(Exception):  # whoever used this host is gone
            channel.send({"ready": True})
            while True:
                request, body = channel.receive()
                channel.send(*host.relay(request, body))
    finally:
        host.close()


if __name__ == "__main__":
    main()
