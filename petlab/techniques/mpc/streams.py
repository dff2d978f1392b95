"""Random ring elements from a cryptographic stream, for shares and masks."""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence

import numpy as np

KEY_BYTES = 32


class Stream:
    """AES-256 in counter mode: whoever has the key draws the same elements.

    Parameters
    ----------
    key
        32 bytes; fresh ones by default.
    """

    def __init__(self, key: bytes | None = None) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher
        from cryptography.hazmat.primitives.ciphers.algorithms import AES256
        from cryptography.hazmat.primitives.ciphers.modes import CTR

        key = secrets.token_bytes(KEY_BYTES) if key is None else key
        self._stream = Cipher(AES256(key), CTR(bytes(16))).encryptor()

    def words(self, shape: Sequence[int]) -> np.ndarray:
        """Uniform 64-bit integers of the given shape, as int64."""
        count = math.prod(shape)
        return np.frombuffer(self._stream.update(bytes(8 * count)), np.int64).reshape(shape)


def split(values: np.ndarray, parties: int) -> list[np.ndarray]:
    """Additive shares modulo 2^64 of an int64 array, one for each party.

    Any `parties - 1` of them are uniform and independent of the values, to whoever cannot
    break AES. Only the first is an array of the same size: the others are the keys, 32 bytes
    as uint8, of the streams that `expanded` makes them from.
    """
    keys = [secrets.token_bytes(KEY_BYTES) for _ in range(parties - 1)]
    first = np.ascontiguousarray(values, np.int64).copy()
    with np.errstate(over="ignore"):
        for key in keys:
            first -= Stream(key).words(first.shape)
    return [first, *(np.frombuffer(key, np.uint8) for key in keys)]


def expanded(share: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Return a share as an int64 array, if it came as a key or already is one."""
    if share.dtype == np.uint8:
        return Stream(share.tobytes()).words(shape).copy()
    return share.reshape(shape)


def joined(shares: Sequence[np.ndarray]) -> np.ndarray:
    """Sum of additive shares modulo 2^64, as int64."""
    with np.errstate(over="ignore"):
        return np.asarray(np.sum(shares, axis=0, dtype=np.int64))
