"""Counts between linked owners: one's encrypted bits times the other's plain matrix."""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np

from petlab.errors import OutOfRange
from petlab.techniques.he.keys import SLOTS, KeyPair, PublicKey, Scheme, frame, unframe

PLAIN_MODULUS = 4079617
"""Largest 22-bit prime that is 1 mod 2 * SLOTS: counts stay below half of it."""
COUNTS = Scheme("BFV", SLOTS, (54, 54, 55), PLAIN_MODULUS)
PEOPLE_MAX = (PLAIN_MODULUS - 1) // 2


def encrypt_rows(key: PublicKey, rows: np.ndarray) -> bytes:
    """Encrypt a 0/1 matrix (r, n) row by row, people along the slots."""
    import tenseal as ts

    if rows.shape[1] > PEOPLE_MAX or not np.isin(rows, (0, 1)).all():
        raise OutOfRange(f"counts are of 0/1 values of at most {PEOPLE_MAX} people.")
    return frame(
        key.fingerprint,
        [
            ts.bfv_vector(key.context, block.astype(int).tolist()).serialize()
            for row in rows
            for block in _blocks(row)
        ],
    )


def masked_products(key: PublicKey, encrypted: bytes, matrix: np.ndarray, rows: int) -> bytes:
    """Encrypted rows (r, n) times a plain 0/1 matrix (n, c), at the matrix' owner.

    Every slot of an answer is masked by a fresh random number, and the masks of one answer
    add up to zero: the reader learns the sum of the slots, which is the count, and nothing
    about single people. Rotations are not needed, and neither are their large keys.
    """
    import tenseal as ts

    blobs = unframe(key.fingerprint, encrypted)
    loaded = [ts.bfv_vector_from(key.context, blob) for blob in blobs]
    per_row = len(loaded) // rows
    answers = []
    for row in range(rows):
        blocks = loaded[row * per_row : (row + 1) * per_row]
        for column in matrix.T:
            answers.append(_masked(key, blocks, column))
    return frame(key.fingerprint, answers)


def open_counts(keys: KeyPair, answers: bytes, shape: tuple[int, int]) -> np.ndarray:
    """Decrypt masked answers and add up their slots; shape (r, c)."""
    import tenseal as ts

    counts = []
    for blob in unframe(keys.public.fingerprint, answers):
        slots = ts.bfv_vector_from(keys.secret, blob).decrypt()
        counts.append(int(np.array(slots, dtype=object).sum()) % PLAIN_MODULUS)
    return np.array(counts, dtype=float).reshape(shape)


def _masked(key: PublicKey, blocks: list[Any], column: np.ndarray) -> bytes:
    import tenseal as ts

    # The mask is encrypted freshly, which re-randomises the answer.
    total = ts.bfv_vector(key.context, _zero_sum_mask())
    for vector, bits in zip(blocks, _blocks(column), strict=True):
        # A product with the zero plaintext would be a transparent ciphertext: refused.
        if bits.any():
            total = total + vector * bits.astype(int).tolist()
    return total.serialize()


def _blocks(row: np.ndarray) -> list[np.ndarray]:
    """Cut into whole ciphertexts, the last one padded with zeros."""
    padded = np.zeros(-(-len(row) // SLOTS) * SLOTS)
    padded[: len(row)] = row
    return list(padded.reshape(-1, SLOTS))


def _zero_sum_mask() -> list[int]:
    half = PLAIN_MODULUS // 2
    mask = [secrets.randbelow(PLAIN_MODULUS) for _ in range(SLOTS - 1)]
    mask.append(-sum(mask) % PLAIN_MODULUS)
    return [m - PLAIN_MODULUS if m > half else m for m in mask]
