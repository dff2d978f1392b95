"""Exact encrypted sums: fixed-point integers under BFV."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from petlab.core.aggregation import Bound
from petlab.core.party import SERVER
from petlab.errors import OutOfRange, ProtocolError
from petlab.techniques.he.keys import SLOTS, KeyPair, PublicKey, Scheme, frame, unframe

# Largest 56-bit prime that is 1 mod 2 * SLOTS, so that BFV can pack one integer a slot.
PLAIN_MODULUS = 72057594037616641
SUMS = Scheme("BFV", SLOTS, (60, 60, 60), PLAIN_MODULUS)

PER_CIPHERTEXT = SLOTS - 1
"""Values per ciphertext: slot 0 is a canary that every term sets to one."""


class EncryptedSums:
    """Aggregation in which the adding party has ciphertexts and the public key only.

    Values become integers at the finest power of two at which the sum of all terms, each
    within its public bound, stays under half the plaintext modulus.

    Parameters
    ----------
    public
        The readers' public key: all that owners and the adding party use.
    terms
        Most ciphertexts that will ever be added.
    holder
        The party that adds them.
    """

    def __init__(self, public: PublicKey, *, terms: int, holder: str = SERVER) -> None:
        self._public, self._terms = public, terms
        self.holders = (holder,)

    def scale_bits(self, bound: Bound) -> int:
        """Fraction bits of the fixed-point integers.

        Raises
        ------
        OutOfRange
            The bound leaves no room even for whole numbers.
        """
        room = math.floor(math.log2(PLAIN_MODULUS / 2 / (bound.limit * self._terms)))
        if room < 0:
            raise OutOfRange(
                f"totals up to {bound.limit:g} do not fit the plaintext modulus. Lower "
                "records_max to the size of the study."
            )
        return 0 if bound.integer else room

    def grid(self, bound: Bound) -> float:
        """Return the value of the last fixed-point bit."""
        return 2.0 ** -self.scale_bits(bound)

    def protect(self, total: np.ndarray, bound: Bound, *, sender: str = "") -> list[bytes]:
        """Encrypt one party's total under the public key."""
        import tenseal as ts

        integers = bound.integers(total, self.scale_bits(bound))
        blobs = []
        for start in range(0, len(integers), PER_CIPHERTEXT):
            slots = np.r_[1, integers[start : start + PER_CIPHERTEXT]]
            blobs.append(ts.bfv_vector(self._public.context, slots.tolist()).serialize())
        return [frame(self._public.fingerprint, blobs)]

    def add(self, holder: str, blobs: Sequence[bytes]) -> bytes:
        """Add ciphertexts, without any key."""
        if len(blobs) > self._terms:
            raise ProtocolError(f"more than the {self._terms} planned terms were added.")
        columns = zip(*(unframe(self._public.fingerprint, blob) for blob in blobs), strict=True)
        return frame(self._public.fingerprint, [self._added(column) for column in columns])

    def _added(self, ciphertexts: Sequence[bytes]) -> bytes:
        total, *others = (_loaded(self._public.context, blob) for blob in ciphertexts)
        for ciphertext in others:
            total = total + ciphertext
        return total.serialize()


class ReadableSums(EncryptedSums):
    """The same at a reader, who holds the key pair.

    Parameters
    ----------
    keys
        The readers' key pair.
    terms
        Most ciphertexts that will ever be added.
    """

    def __init__(self, keys: KeyPair, *, terms: int) -> None:
        super().__init__(keys.public, terms=terms)
        self._keys = keys

    def open(self, blobs: Sequence[bytes], bound: Bound, *, owners: int) -> np.ndarray:
        """Decrypt the sum of `owners` terms, at a reader.

        Raises
        ------
        ProtocolError
            The canary does not count the terms: noise ran out, or a term is missing.
        """
        (message,) = blobs
        found = []
        for ciphertext in unframe(self._public.fingerprint, message):
            slots = _decrypted(_loaded(self._keys.secret, ciphertext))
            if slots[0] != owners:
                raise ProtocolError("the canary slot is wrong: this sum does not decrypt.")
            found.append(np.array(slots[1:], dtype=np.int64))
        integers = np.concatenate(found)
        return np.ldexp(integers.astype(float), -self.scale_bits(bound))


def _loaded(context: Any, blob: bytes) -> Any:
    import tenseal as ts

    try:
        return ts.bfv_vector_from(context, blob)
    except (ValueError, RuntimeError) as error:
        raise ProtocolError("a ciphertext cannot be read: it was damaged on its way.") from error


def _decrypted(vector: Any) -> list[int]:
    """Slots of a vector, the canary first."""
    try:
        slots = vector.decrypt()
    except (ValueError, RuntimeError) as error:
        raise ProtocolError("a ciphertext does not decrypt: it was damaged.") from error
    if not slots:
        raise ProtocolError("a ciphertext is empty: it was damaged on its way.")
    return slots
