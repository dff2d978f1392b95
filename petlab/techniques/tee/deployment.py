"""Owners and analyst on one side, host and enclave on the other: what a run consists of."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import weakref
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from petlab import errors as common
from petlab.core.children import running
from petlab.core.claims import Guarantee
from petlab.core.task import Answer
from petlab.errors import PetlabError, ProtocolError
from petlab.metering import wire
from petlab.techniques.tee import errors
from petlab.techniques.tee.attestation import Manufacturer, Policy, Quote
from petlab.techniques.tee.channel import reading, seal, signing, unseal
from petlab.techniques.tee.configuration import Configuration
from petlab.techniques.tee.enclave import ANSWER, RECORDS
from petlab.techniques.tee.frames import Channel, Silent
from petlab.techniques.tee.liveness import SILENCE_S
from petlab.techniques.tee.measurement import folders, measure

HOST = "host"
"""The party that owns the machine on which the enclave runs."""
Exchange = Callable[[dict[str, Any], bytes], tuple[dict[str, Any], bytes]]


class Machine:
    """A host process with its device and a prepared enclave, started from here.

    Parameters
    ----------
    manufacturer
        Makes the device's key; only the device and the manufacturer ever have it.
    """

    def __init__(self, manufacturer: Manufacturer) -> None:
        ours, theirs = socket.socketpair()
        secret_in, secret_out = socket.socketpair()
        given = [theirs.fileno(), secret_out.fileno()]
        self._process = subprocess.Popen(
            [*running("petlab.techniques.tee.host"), *map(str, given), *folders()],
            pass_fds=given,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        secret_out.close()
        device = Ed25519PrivateKey.generate()
        self.certificate = manufacturer.certify(device.public_key())
        delivery = Channel(secret_in.fileno(), secret_in.detach())
        delivery.send(asdict(self.certificate), device.private_bytes_raw())
        delivery.close()
        descriptor = ours.detach()
        self._channel = Channel(descriptor, descriptor, patience_s=SILENCE_S)
        self._end = weakref.finalize(self, _kill, self._process, self._channel)
        self._ready = False

    @property
    def pid(self) -> int:
        """Process of the host."""
        return self._process.pid

    def wait(self) -> None:
        """Wait until the enclave process has imported its libraries."""
        if not self._ready:
            self._answer()
            self._ready = True

    def ask(self, head: dict[str, Any], body: bytes = b"") -> tuple[dict[str, Any], bytes]:
        """Send one request to host, device or enclave.

        Raises
        ------
        PetlabError
            Of the kind that the enclave named, or because the machine is gone, silent, or has
            a process that was stopped.
        """
        self.wait()
        try:
            self._channel.send(head, body)
            answer, found = self._answer()
        except Silent:
            said = f"no sign of life from the enclave's host for {SILENCE_S:g} s: it is stopped."
            raise ProtocolError(said) from None
        if "refused" in answer:
            raise _refusal(answer["refused"])(answer["reason"])
        return answer, found

    def _answer(self) -> tuple[dict[str, Any], bytes]:
        """What comes after the signs of life."""
        while True:
            answer, found = self._channel.receive()
            if "working" not in answer:
                return answer, found

    def close(self) -> None:
        """End host, device and enclave."""
        self._end()


class Parties:
    """Owners and the analyst, who share no process with host and enclave.

    Parameters
    ----------
    names
        The owners.
    manufacturer
        Whose word on devices they take.
    """

    def __init__(self, names: list[str], manufacturer: Manufacturer) -> None:
        self._manufacturer = manufacturer
        self._owners = {name: Ed25519PrivateKey.generate() for name in names}
        self._analyst = X25519PrivateKey.generate()

    @property
    def owners(self) -> dict[str, str]:
        """Public keys of the owners, hexadecimal."""
        return {n: k.public_key().public_bytes_raw().hex() for n, k in self._owners.items()}

    @property
    def analyst(self) -> str:
        """Public key of the analyst, hexadecimal."""
        return self._analyst.public_key().public_bytes_raw().hex()

    def policy(self, agreed: Configuration) -> Policy:
        """What an owner insists on: the program that it measured itself."""
        expected = measure(agreed.to_json(), agreed.modules)
        return Policy(
            self._manufacturer.root,
            frozenset({expected}),
            revoked=frozenset(self._manufacturer.revoked),
        )

    def attested(self, policy: Policy, exchange: Exchange) -> bytes:
        """Challenge the enclave; return its key once everything about it checks out.

        Raises
        ------
        AttestationError
            The enclave is not what was agreed; nothing was sent.
        """
        nonce = secrets.token_bytes(32)
        _, key = exchange({"to": "enclave", "do": "key"}, b"")
        answer, _ = exchange({"to": "device", "do": "quote"}, nonce)
        policy.check(Quote.unpack(answer["quote"]), key=key, nonce=nonce)
        return key

    def sealed(self, owner: str, rows: int, arrays: dict[str, np.ndarray], key: bytes) -> bytes:
        """Seal an owner's records for the attested enclave, signed by the owner."""
        payload = wire.pack({"rows": np.array(rows), **arrays})
        context, signer = RECORDS.format(owner), self._owners[owner]
        return seal(payload, reader=reading(key), context=context, sender=signer)

    def signer(self, owner: str) -> Ed25519PrivateKey:
        """Key with which an owner signs what it sends."""
        return self._owners[owner]

    def unsealed(self, message: bytes, context: str, key: bytes) -> bytes:
        """Open what the attested enclave sealed for the analyst, and nobody else could have."""
        return unseal(message, key=self._analyst, context=context, sender=signing(key))

    def opened(self, message: bytes, key: bytes) -> tuple[Answer, Guarantee]:
        """Open the answer, at the analyst, who attested the enclave of this key."""
        arrays = wire.unpack(self.unsealed(message, ANSWER, key))
        said = json.loads(arrays.pop("notes").tobytes())
        guarantee = {**said["guarantee"], "trusted": tuple(said["guarantee"]["trusted"])}
        values = {name.partition("/")[2]: value for name, value in arrays.items()}
        return Answer(values, tuple(said["notes"])), Guarantee(**guarantee)


def _refusal(name: str) -> type[PetlabError]:
    for module in (errors, common):
        kind = getattr(module, str(name), None)
        if isinstance(kind, type) and issubclass(kind, PetlabError):
            return kind
    return ProtocolError


def _kill(process: subprocess.Popen[bytes], channel: Channel) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    channel.close()
