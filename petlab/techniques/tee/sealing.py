"""Sealed storage: what an enclave leaves with its host between two lives.

The key depends on the device and on the measurement, so that no other program can open it. The
device counts every sealing, so that an older state is noticed.
"""

from __future__ import annotations

import secrets
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from petlab.techniques.tee.errors import RolledBack, TamperedStorage

_COUNT = struct.Struct(">Q")
_NONCE = 12


def sealing_key(device_secret: bytes, measurement: str) -> bytes:
    """Key of one program on one device; the device computes it and gives it to that program."""
    info = b"petlab sealing " + measurement.encode()
    return HKDF(hashes.SHA256(), 32, salt=None, info=info).derive(device_secret)


def seal_state(state: bytes, *, key: bytes, count: int) -> bytes:
    """Encrypt a state under the count that the device just gave."""
    nonce = secrets.token_bytes(_NONCE)
    head = _COUNT.pack(count)
    return head + nonce + AESGCM(key).encrypt(nonce, state, head)


def open_state(sealed: bytes, *, key: bytes, count: int) -> bytes:
    """Decrypt the state that belongs to the device's current count.

    Raises
    ------
    TamperedStorage
        It was altered, or sealed by another program or on another device.
    RolledBack
        It is not the last one that was sealed.
    """
    head, nonce, body = sealed[:8], sealed[8 : 8 + _NONCE], sealed[8 + _NONCE :]
    try:
        state = AESGCM(key).decrypt(nonce, body, head)
    except (InvalidTag, ValueError):
        raise TamperedStorage("sealed storage does not open: altered, or not ours.") from None
    (stored,) = _COUNT.unpack(head)
    if stored != count:
        raise RolledBack(f"sealed storage is number {stored}, the device counts {count}.")
    return state
