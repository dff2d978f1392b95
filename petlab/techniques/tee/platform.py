"""The quoting process: what the processor does in real hardware, and the host cannot.

It measures what it launches, launches it itself, signs quotes with the device's key, derives
sealing keys and counts sealings. The host can ask it for all that, and cannot make it lie.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from petlab.errors import PetlabError, ProtocolError
from petlab.techniques.tee.attestation import Certificate, Quote
from petlab.techniques.tee.configuration import ENTRY, START, Configuration
from petlab.techniques.tee.frames import Channel
from petlab.techniques.tee.isolation import environment, wrapped
from petlab.techniques.tee.measurement import ROOT, add_folders, folders, measure, sources
from petlab.techniques.tee.sealing import sealing_key


class Device:
    """One processor with its keys, its counters, and the enclave that it runs.

    Attributes
    ----------
    private
        Channel to the enclave that the host has no end of; None while there is no enclave.
    """

    private: Channel | None = None

    def __init__(self, key: Ed25519PrivateKey, certificate: Certificate) -> None:
        self._key, self._certificate = key, certificate
        self._secret = secrets.token_bytes(32)
        self._counters: dict[str, int] = {}
        self._enclave: subprocess.Popen[bytes] | None = None
        self._configuration: Configuration | None = None
        self._measurement = ""

    def prepare(self, to_host: int) -> None:
        """Start an enclave process that has imported its libraries and holds nothing."""
        ours, theirs = _pair()
        command = [sys.executable, "-I", _file_of(START), str(theirs), *folders()]
        readable = [Path(sys.prefix), Path(sys.base_prefix), ROOT.parent, *map(Path, folders())]
        self._enclave = subprocess.Popen(
            wrapped(command, readable),
            stdin=to_host,
            stdout=to_host,
            stderr=subprocess.DEVNULL,
            pass_fds=[theirs],
            env=environment(),
        )
        os.close(theirs)
        os.close(to_host)
        self.private = Channel(ours, ours)
        sources((START, ENTRY))  # read while the enclave starts; what changes is read again
        self.private.receive()

    def launch(self, configuration: Configuration) -> dict[str, Any]:
        """Measure a configuration and hand it to the enclave, once."""
        if self._configuration is not None or self.private is None:
            raise ProtocolError("an enclave is launched once.")
        self._measurement = measure(configuration.to_json(), configuration.modules)
        self._configuration = configuration
        key = sealing_key(self._secret, self._measurement)
        head = {"configuration": configuration.to_json(), "count": self._count()}
        answer, _ = self.private.ask(head, key)
        self._key_digest = answer["key"]
        return {"measurement": self._measurement, "imported_s": answer["imported_s"]}

    def quote(self, nonce: bytes) -> Quote:
        """Say what runs, in answer to a challenge."""
        if self._configuration is None:
            raise ProtocolError("no enclave was launched.")
        unsigned = Quote(
            measurement=self._measurement,
            version=self._configuration.version,
            nonce=nonce.hex(),
            key=self._key_digest,
            debug=self._configuration.debug,
            certificate=self._certificate,
        )
        return replace(unsigned, signature=self._key.sign(unsigned.body()).hex())

    def count_sealing(self) -> None:
        """Count one more sealing of the running enclave, which asked; or note that it ended."""
        assert self.private is not None
        try:
            self.private.receive()
            self._counters[self._measurement] = self._count() + 1
            self.private.send({"count": self._count()})
        except ProtocolError:
            self.end()

    def end(self) -> None:
        """Kill the enclave. Keys and counters stay: they are the processor's."""
        if self._enclave is None or self.private is None:
            return
        self._enclave.kill()
        self._enclave.wait()
        self.private.close()
        self._enclave = self._configuration = self.private = None

    def _count(self) -> int:
        return self._counters.get(self._measurement, 0)


def _file_of(module: str) -> str:
    return str(ROOT.parent.joinpath(*module.split(".")).with_suffix(".py"))


def _pair() -> tuple[int, int]:
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


def serve(host: Channel, secret: Channel, to_enclave: int) -> None:
    """Obey the host until it leaves.

    Parameters
    ----------
    host
        Requests and answers.
    secret
        Brings the device's key from its manufacturer; the host passes it on unread.
    to_enclave
        Socket between host and enclave.
    """
    head, key = secret.receive()
    device = Device(Ed25519PrivateKey.from_private_bytes(key), Certificate(**head))
    device.prepare(to_enclave)
    host.send({"ready": True})
    try:
        while True:
            ready, _, _ = select.select([host, *filter(None, [device.private])], [], [])
            if device.private in ready:
                device.count_sealing()
                continue
            request, body = host.receive()
            if request["do"] == "restart":
                device.end()
                device.prepare(host.handed())
            try:
                answer = _answered(device, request, body)
            except PetlabError as error:
                answer = {"refused": type(error).__name__, "reason": str(error)}, b""
            host.send(*answer)
    finally:
        device.end()


def _answered(device: Device, request: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
    if request["do"] == "launch":
        configuration = Configuration.from_json(json.loads(body))
        return device.launch(configuration), b""
    if request["do"] == "quote":
        return {"quote": device.quote(body).pack()}, b""
    return {}, b""


def main() -> None:
    """Run as a child of the host."""
    host, secret, to_enclave = (int(a) for a in sys.argv[1:4])
    add_folders(sys.argv[4:])
    with contextlib.suppress(Exception):  # the host is gone: nobody to tell
        serve(Channel(host, host), Channel(secret, secret), to_enclave)


if __name__ == "__main__":
    main()
