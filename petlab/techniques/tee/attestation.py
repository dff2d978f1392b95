"""Attestation: how an owner knows which program will get its records, before it sends any.

A manufacturer signs the certificate of each device, the device signs quotes: what was launched
(its measurement), in which version, in answer to which challenge, and with which key it can be
reached. The keys are simulated; the checks are those of real attestation.

References
----------
.. [1] Birkholz et al., Remote ATtestation procedureS (RATS) Architecture, RFC 9334, 2023.
.. [2] Costan, Devadas, Intel SGX Explained, IACR ePrint 2016/086, section 5.8.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from petlab.techniques.tee.errors import (
    DebugEnclave,
    DowngradedEnclave,
    ExpiredDevice,
    ForgedQuote,
    RevokedDevice,
    StaleQuote,
    UnboundKey,
    WrongMeasurement,
)

ENCLAVE_VERSION = 1
"""Raised with every change that owners should insist on."""
VALID_S = 365 * 24 * 3600.0


@dataclass(frozen=True)
class Certificate:
    """What the manufacturer says of a device.

    Attributes
    ----------
    device
        Its public key, hexadecimal.
    not_after
        When the certificate ends, in seconds since 1970.
    signature
        The manufacturer's, over the rest.
    """

    serial: str
    device: str
    not_after: float
    signature: str = ""

    def body(self) -> bytes:
        """What is signed."""
        return canonical({**asdict(self), "signature": ""})


@dataclass(frozen=True)
class Quote:
    """What a device says of an enclave that it runs.

    Attributes
    ----------
    measurement
        Digest of the program, its libraries and its configuration.
    nonce
        The challenge that it answers, hexadecimal.
    key
        Digest of the public key under which the enclave can be reached, hexadecimal.
    debug
        Whether the host may look inside.
    signature
        The device's, over the rest.
    """

    measurement: str
    version: int
    nonce: str
    key: str
    debug: bool
    certificate: Certificate
    signature: str = ""

    def body(self) -> bytes:
        """What is signed."""
        return canonical({**asdict(self), "signature": ""})

    def pack(self) -> str:
        """Return the quote as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def unpack(cls, text: str) -> Quote:
        """Read what `pack` wrote.

        Raises
        ------
        ForgedQuote
            It is no quote at all.
        """
        try:
            values = json.loads(text)
            return cls(**{**values, "certificate": Certificate(**values["certificate"])})
        except (ValueError, TypeError, KeyError) as error:
            raise ForgedQuote("what was sent is not a quote.") from error


class Manufacturer:
    """Simulated maker of the devices: vouches for their keys, and withdraws its word."""

    def __init__(self) -> None:
        self._root = Ed25519PrivateKey.generate()
        self.root = self._root.public_key()
        self.revoked: set[str] = set()
        self._made = 0

    def certify(self, device: Ed25519PublicKey, *, valid_s: float = VALID_S) -> Certificate:
        """Sign the certificate of a device."""
        self._made += 1
        unsigned = Certificate(
            f"device-{self._made}", device.public_bytes_raw().hex(), time.time() + valid_s
        )
        signature = self._root.sign(unsigned.body()).hex()
        return Certificate(unsigned.serial, unsigned.device, unsigned.not_after, signature)


def digest(key: bytes) -> str:
    """Digest of an enclave's public key, as a quote names it."""
    return hashlib.sha256(key).hexdigest()


@dataclass(frozen=True)
class Policy:
    """What an owner insists on.

    Attributes
    ----------
    root
        The manufacturer's public key.
    measurements
        Enclaves that the owner agreed to.
    version_min
        Oldest version that it accepts.
    revoked
        Serial numbers of devices that the manufacturer withdrew.
    """

    root: Ed25519PublicKey
    measurements: frozenset[str]
    version_min: int = ENCLAVE_VERSION
    revoked: frozenset[str] = field(default_factory=frozenset)

    def check(self, quote: Quote, *, key: bytes, nonce: bytes) -> None:
        """Accept an enclave, or say why not.

        Parameters
        ----------
        key
            The enclave's public key, under which records would be sent.
        nonce
            The challenge that this owner made up.

        Raises
        ------
        AttestationError
            Of the kind that names what is wrong.
        """
        certificate = quote.certificate
        _verify(self.root, certificate.signature, certificate.body(), "the device's certificate")
        if certificate.not_after < time.time():
            raise ExpiredDevice(f"the certificate of {certificate.serial} has expired.")
        if certificate.serial in self.revoked:
            raise RevokedDevice(f"{certificate.serial} was revoked by its manufacturer.")
        device = Ed25519PublicKey.from_public_bytes(bytes.fromhex(certificate.device))
        _verify(device, quote.signature, quote.body(), "the quote")
        if quote.debug:
            raise DebugEnclave("the enclave runs in debug mode: its host can read it.")
        if quote.version < self.version_min:
            raise DowngradedEnclave(
                f"the enclave is of version {quote.version}, not {self.version_min} or later."
            )
        if quote.measurement not in self.measurements:
            raise WrongMeasurement(
                f"the enclave measures {quote.measurement[:16]}…, which nobody agreed to."
            )
        if quote.nonce != nonce.hex():
            raise StaleQuote("the quote answers another challenge: it is a replay.")
        if quote.key != digest(key):
            raise UnboundKey("the key that was sent is not the one that was attested.")


def _verify(key: Ed25519PublicKey, signature: str, body: bytes, what: str) -> None:
    try:
        key.verify(bytes.fromhex(signature), body)
    except (InvalidSignature, ValueError, TypeError):
        raise ForgedQuote(f"{what} is not signed by who it claims.") from None


def canonical(values: dict[str, Any]) -> bytes:
    """JSON in one form only, so that a signature covers one reading."""
    return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()
