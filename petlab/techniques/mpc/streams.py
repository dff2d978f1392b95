"""Random ring elements from a cryptographic stream, for shares and masks."""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence

import numpy as np


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

        key = secrets.token_bytes(32) if key is None else key
        self._stream = Cipher(AES256(key), CTR(bytes(16))).encryptor()

    def words(self, shape: Sequence[int]) -> np.ndarray:
        """Uniform 64-bit integers of the given shape, as int64."""
        count = math.prod(shape)
        return np.frombuffer(self._stream.update(bytes(8 * count)), np.int64).reshape(shape)


def split(values: np.ndarray, parties: int, stream: Stream) -> list[np.ndarray]:
    """Additive shares modulo 2^64 of an int64 array, one for each party.

    Any `parties - 1` of them are uniform and independent of the values.
    """
    rest = [stream.words(values.shape) for _ in range(parties - 1)]
    with np.errstate(over="ignore"):
        first = values - np.sum(rest, axis=0, dtype=np.int64)
    return [first, *rest]


def joined(shares: Sequence[np.ndarray]) -> np.ndarray:
    """Sum of additive shares modulo 2^64, as int64."""
    with np.errstate(over="ignore"):
        return np.asarray(np.sum(shares, axis=0, dtype=np.int64))
