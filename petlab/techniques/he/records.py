"""Encrypted records for scoring: one CKKS ciphertext per feature, records along the slots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from petlab.errors import OutOfRange, UsageError
from petlab.techniques.he.keys import KeyPair, PublicKey, Scheme, frame, unframe

_CHAINS = {
    1: Scheme("CKKS", 8192, (60, 40, 60), 40),
    2: Scheme("CKKS", 8192, (54, 36, 36, 54), 36),
    3: Scheme("CKKS", 8192, (54, 36, 36, 36, 54), 36),
    4: Scheme("CKKS", 16384, (60, 40, 40, 40, 40, 60), 40),
    5: Scheme("CKKS", 16384, (60, 40, 40, 40, 40, 40, 60), 40),
}


@dataclass(frozen=True)
class EncryptedRecords:
    """Ciphertexts of a (rows, columns) array, at the compute server.

    Attributes
    ----------
    blocks
        TenSEAL tensors, one per run of as many records as a ciphertext has slots.
    largest
        Public-key side bound on the magnitude of every entry: past the headroom of the
        last prime CKKS would decrypt to garbage without a word.
    """

    blocks: list[Any]
    largest: float


def scheme_for(depth: int) -> Scheme:
    """Choose parameters for so many multiplications in a row.

    Raises
    ------
    UsageError
        The circuit is too deep for parameters that petlab has validated.
    """
    if depth not in _CHAINS:
        raise UsageError(f"{depth} multiplications in a row are too deep: use fewer layers.")
    return _CHAINS[depth]


def encrypt(key: PublicKey, values: np.ndarray) -> bytes:
    """Encrypt a matrix (rows, columns) under the public key."""
    import tenseal as ts

    slots = key.scheme.degree // 2
    tensors = [
        ts.ckks_tensor(key.context, values[start : start + slots, None, :].tolist(), batch=True)
        for start in range(0, len(values), slots)
    ]
    return frame(key.fingerprint, [tensor.serialize() for tensor in tensors])


def load(key: PublicKey, message: bytes, largest: float) -> EncryptedRecords:
    """Read encrypted records, at the server."""
    import tenseal as ts

    blobs = unframe(key.fingerprint, message)
    return EncryptedRecords([ts.ckks_tensor_from(key.context, b) for b in blobs], largest)


def dump(key: PublicKey, records: EncryptedRecords) -> bytes:
    """Serialise encrypted records."""
    return frame(key.fingerprint, [block.serialize() for block in records.blocks])


def product(records: EncryptedRecords, matrix: np.ndarray, key: PublicKey) -> EncryptedRecords:
    """Encrypted (rows, n) times plain (n, k)."""
    # Zero plaintexts would make transparent ciphertexts, which SEAL refuses.
    plain = np.where(matrix == 0, 2.0 ** (2 - key.scheme.plain), matrix)
    largest = records.largest * float(np.abs(matrix).sum(0).max())
    blocks = [block.mm(plain.tolist()) for block in records.blocks]
    return _checked(EncryptedRecords(blocks, largest), key)


def shifted(records: EncryptedRecords, row: np.ndarray, key: PublicKey) -> EncryptedRecords:
    """Encrypted (rows, k) plus a plain row (k,)."""
    plain = [row.tolist()]
    blocks = [block.add(plain) for block in records.blocks]
    largest = records.largest + float(np.abs(row).max())
    return _checked(EncryptedRecords(blocks, largest), key)


def squared(records: EncryptedRecords, key: PublicKey) -> EncryptedRecords:
    """Square of each entry."""
    blocks = [block.square() for block in records.blocks]
    return _checked(EncryptedRecords(blocks, records.largest**2), key)


def decrypt(keys: KeyPair, message: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """Decrypt at the reader; shape (rows, columns)."""
    import tenseal as ts

    blocks = [
        np.array(ts.ckks_tensor_from(keys.secret, blob).decrypt().tolist())[:, 0, :]
        for blob in unframe(keys.public.fingerprint, message)
    ]
    return np.concatenate(blocks)[: shape[0]]


def _checked(records: EncryptedRecords, key: PublicKey) -> EncryptedRecords:
    headroom = 2.0 ** (key.scheme.primes[0] - key.scheme.plain - 1)
    if records.largest >= headroom:
        raise OutOfRange(
            f"scores may reach {records.largest:.3g}, past the headroom {headroom:.3g} of these "
            "parameters: use smaller weights or fewer layers."
        )
    return records
