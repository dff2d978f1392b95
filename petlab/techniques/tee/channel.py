"""Messages through a host that nobody trusts: sealed to one reader, signed by one sender.

HPKE's base mode does not say who sent a message, so that the sender signs it first. The signature
names the reader and the purpose, and travels inside: nobody can take it off or put it elsewhere.
"""

from __future__ import annotations

import struct

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from petlab.techniques.tee.errors import TamperedMessage, UnknownSender

SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_SIGNATURE = 64
_READING = 32
_LENGTH = struct.Struct(">I")


def reading(key: bytes) -> bytes:
    """The half of an enclave's public key that messages to it are sealed with (X25519)."""
    return key[:_READING]


def signing(key: bytes) -> bytes:
    """The half of an enclave's public key that its own messages are signed with (Ed25519)."""
    return key[_READING:]


def seal(
    payload: bytes, *, reader: bytes, context: str, sender: Ed25519PrivateKey | None = None
) -> bytes:
    """Encrypt for one reader, and sign.

    Parameters
    ----------
    reader
        Raw X25519 public key.
    context
        What the message is and for which run: it opens as nothing else.
    sender
        Signs the message; None where the reader knows otherwise whom it is from.
    """
    key = X25519PublicKey.from_public_bytes(reader)
    signature = sender.sign(_signed(payload, reader, context)) if sender else b""
    return SUITE.encrypt(signature + payload, key, info=context.encode())


def unseal(
    message: bytes, *, key: X25519PrivateKey, context: str, sender: bytes | None = None
) -> bytes:
    """Decrypt a message, and check who sent it.

    Parameters
    ----------
    sender
        Raw Ed25519 public key of the only acceptable sender; None for unsigned messages.

    Raises
    ------
    TamperedMessage
        It was altered, cut short, or sealed for another reader or purpose.
    UnknownSender
        The signature is not the sender's.
    """
    try:
        opened = SUITE.decrypt(message, key, info=context.encode())
    except Exception:
        raise TamperedMessage(f"{context}: altered, or sealed for somebody else.") from None
    if sender is None:
        return opened
    signature, payload = opened[:_SIGNATURE], opened[_SIGNATURE:]
    signed = _signed(payload, key.public_key().public_bytes_raw(), context)
    try:
        Ed25519PublicKey.from_public_bytes(sender).verify(signature, signed)
    except InvalidSignature:
        raise UnknownSender(f"{context}: not signed by who it claims to be from.") from None
    return payload


def _signed(payload: bytes, reader: bytes, context: str) -> bytes:
    label = context.encode()
    return _LENGTH.pack(len(label)) + label + reader + payload
