"""Keys and messages: who can decrypt, and how a ciphertext names the key it needs."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from petlab.errors import ProtocolError

SLOTS = 8192
"""Polynomial degree, and slots of a BFV ciphertext; CKKS has half as many."""

SECURITY_BITS = 128
"""TenSEAL refuses parameters below the HomomorphicEncryption.org table for 128 bits."""

_HEAD = struct.Struct("<16sI")
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class Scheme:
    """Parameters of one use of homomorphic encryption.

    Attributes
    ----------
    kind
        "BFV" for exact integers, "CKKS" for approximate reals.
    degree
        Polynomial modulus degree.
    primes
        Bits of the coefficient modulus' primes; the last is the special one.
    plain
        BFV: prime plaintext modulus. CKKS: bits of the scale.
    """

    kind: str
    degree: int
    primes: tuple[int, ...]
    plain: int

    def __str__(self) -> str:
        plain = f"t={self.plain}" if self.kind == "BFV" else f"scale 2^{self.plain}"
        return f"{self.kind} N={self.degree} log q={sum(self.primes)} {plain}"


class PublicKey:
    """What owners and servers work with, rebuilt from the bytes that were sent to them.

    Raises
    ------
    ProtocolError
        The bytes hold a secret key.
    """

    def __init__(self, scheme: Scheme, blob: bytes) -> None:
        import tenseal as ts

        self.scheme, self.blob = scheme, blob
        self.context: Any = ts.context_from(blob)
        if self.context.is_private():
            raise ProtocolError("a context that was sent holds a secret key.")
        self.fingerprint = hashlib.sha256(blob).digest()[:16]
        """Sixteen bytes that name this key in every message."""


class KeyPair:
    """A secret context at its holders, and the public key that everybody else gets.

    TenSEAL's parameter check refuses anything under `SECURITY_BITS` of security.
    """

    def __init__(self, scheme: Scheme) -> None:
        import tenseal as ts

        bfv = scheme.kind == "BFV"
        self.secret: Any = ts.context(
            ts.SCHEME_TYPE.BFV if bfv else ts.SCHEME_TYPE.CKKS,
            scheme.degree,
            scheme.plain if bfv else 0,
            coeff_mod_bit_sizes=list(scheme.primes),
            n_threads=1,
        )
        if not bfv:
            self.secret.global_scale = 2.0**scheme.plain
        blob = self.secret.serialize(
            save_secret_key=False, save_galois_keys=False, save_relin_keys=not bfv
        )
        self.public = PublicKey(scheme, blob)


def frame(fingerprint: bytes, ciphertexts: Sequence[bytes]) -> bytes:
    """Put ciphertexts of one key into a message."""
    parts = [_HEAD.pack(fingerprint, len(ciphertexts))]
    for ciphertext in ciphertexts:
        parts += [_LENGTH.pack(len(ciphertext)), ciphertext]
    return b"".join(parts)


def unframe(fingerprint: bytes, message: bytes) -> list[bytes]:
    """Take ciphertexts out of a message.

    Raises
    ------
    ProtocolError
        They were made under another key (TenSEAL would return garbage without a word), or
        the message is cut short.
    """
    try:
        named, count = _HEAD.unpack_from(message)
        found, at = [], _HEAD.size
        for _ in range(count):
            (length,) = _LENGTH.unpack_from(message, at)
            at += _LENGTH.size
            found.append(message[at : at + length])
            at += length
    except struct.error as error:
        raise ProtocolError("a message of ciphertexts is cut short.") from error
    if at != len(message):
        raise ProtocolError("a message of ciphertexts has the wrong length.")
    if named != fingerprint:
        raise ProtocolError("ciphertexts were made under another key.")
    return found
