"""Where each record goes, by a hash of that record alone.

Differential privacy compares a table with the same table less one record. If the split, a
sample or the owners came from a shuffle of positions, one record less would move hundreds of
others, and the privacy loss of what is released would be many times the epsilon claimed. Here
every record has a key, made from its ID or, without IDs, from its content, and every choice is
a coin made from that key and the public seed: taking one record away changes nothing about any
other. No secret is involved, and none is needed: what counts is that a coin depends on one
record, not that nobody can tell how it fell.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence

import numpy as np


def record_keys(columns: Sequence[np.ndarray], ids: np.ndarray | None = None) -> np.ndarray:
    """Key of each record, uint64, shape (rows,).

    Records with the same ID share a key, so that one person's records stay together. Without
    IDs, records of the same content are told apart by counting them: their keys are the same
    set whichever of them is taken away.

    Parameters
    ----------
    columns
        Everything stored of the records, float64 or int64, each of shape (rows,); no number
        depends on the other records.
    ids
        IDs as text, shape (rows,), or None.
    """
    if ids is not None:
        digests = b"".join(hashlib.blake2b(str(i).encode(), digest_size=8).digest() for i in ids)
        return np.frombuffer(digests, "<u8").astype(np.uint64)
    content = np.zeros(len(columns[0]), np.uint64)
    for number, column in enumerate(columns):
        # Adding zero makes -0.0 and 0.0 the same content; there are many ways to write NaN.
        numbers = np.asarray(column, float) + 0.0
        bits = np.where(np.isnan(numbers), np.nan, numbers).view(np.uint64)
        content = _mixed(content ^ _mixed(bits + np.uint64(number + 1)))
    order = np.argsort(content, kind="stable")
    first = np.r_[True, np.diff(content[order]) != 0]
    starts = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
    copies = np.empty(len(order), np.uint64)
    copies[order] = np.arange(len(order)) - starts
    return _mixed(content + copies)


def coins(keys: np.ndarray, purpose: str, *, seed: int) -> np.ndarray:
    """One number in [0, 1) for each key, shape (rows,); unrelated for other purposes and seeds.

    Parameters
    ----------
    keys
        Of `record_keys`.
    purpose
        What the number decides, such as "test".
    seed
        The study's public seed.
    """
    salt = np.array([seed & 0xFFFFFFFFFFFFFFFF, zlib.crc32(purpose.encode())], np.uint64)
    salt = _mixed(salt)
    words = _mixed(_mixed(keys ^ salt[0]) ^ _mixed(salt[1:] + salt[0]))
    return (words >> np.uint64(11)) * 2.0**-53


def _mixed(words: np.ndarray) -> np.ndarray:
    """Finaliser of splitmix64 (Steele, Lea, Flood, OOPSLA 2014): each bit moves all others."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
