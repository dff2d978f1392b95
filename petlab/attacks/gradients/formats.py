"""The formats in which protected contributions travel, read as whoever holds them would.

The rules are public: how a share is expanded, how ciphertexts are framed, in which fixed point
integers are written. What protects a contribution is a secret, not its format, so that an
attacker that knows all of this and still reads nothing has met the protection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from petlab.core.aggregation import Bound
from petlab.errors import PetlabError, ProtocolError
from petlab.metering import wire


def steps(limit: float, terms: int) -> tuple[float, ...]:
    """Public steps of the fixed-point numbers in which sums of such a bound travel.

    Parameters
    ----------
    limit
        Bound on a coordinate of one contribution.
    terms
        Contributions that are added.
    """
    from petlab.techniques.he.sums import EncryptedSums
    from petlab.techniques.mpc.sums import SharedSums

    public: Any = None
    shared = SharedSums((), terms=terms, add=lambda *_: np.zeros(0))
    encrypted = EncryptedSums(public, terms=terms)
    return tuple(sums.grid(Bound(limit)) for sums in (shared, encrypted))


def in_the_clear(blob: bytes) -> np.ndarray | None:
    """The total in a message that carries it as it is, shape (size,), or None."""
    try:
        arrays = wire.unpack(blob)
    except ProtocolError:
        return None
    return arrays["total"].astype(float).ravel() if "total" in arrays else None


def as_integers(blob: bytes, keys: Sequence[Any], size: int) -> list[np.ndarray]:
    """Whole numbers in a share, or in ciphertexts that one of the keys opens, or in the bytes.

    Parameters
    ----------
    keys
        TenSEAL contexts that the attacker was sent.
    size
        How many numbers are wanted.

    Returns
    -------
    Each reading has shape (size,), int64.
    """
    found = [_share(blob, size), *(_decrypted(blob, key) for key in keys)]
    if len(blob) >= 8 * size:
        found.append(np.frombuffer(blob[-8 * size :], "<i8"))
    return [values[:size] for values in found if values is not None and len(values) >= size]


def _share(blob: bytes, size: int) -> np.ndarray | None:
    from petlab.techniques.mpc.streams import expanded

    try:
        share = wire.unpack(blob)["share"]
        return expanded(share, (size,)).ravel()
    except (KeyError, ValueError, PetlabError):
        return None


def _decrypted(blob: bytes, key: Any) -> np.ndarray | None:
    import tenseal as ts

    from petlab.techniques.he.keys import unframe

    try:
        slots = [ts.bfv_vector_from(key, c).decrypt()[1:] for c in unframe(blob[:16], blob)]
    except (ValueError, RuntimeError, ProtocolError):
        return None
    return np.concatenate(slots).astype(np.int64) if slots else None
