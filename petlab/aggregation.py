"""How contributions are protected, added and opened: the part that techniques lend out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from petlab import wire


@dataclass(frozen=True)
class Bound:
    """Public bound on each coordinate of what one party protects.

    Attributes
    ----------
    limit
        Largest magnitude.
    integer
        All values are integers.
    """

    limit: float
    integer: bool = False


class Aggregation(Protocol):
    """Protect at the owner and add at an aggregator: nothing here can read.

    A federation that aggregates ciphertexts or shares uses another technique's
    implementation of this interface; no technique imports another.
    """

    def grid(self, bound: Bound) -> float:
        """Return the step to which values are rounded; 0 for none."""
        ...

    def protect(self, total: np.ndarray, bound: Bound) -> bytes:
        """Turn one owner's total, shape (size,), into what the aggregator may hold."""
        ...

    def add(self, blobs: Sequence[bytes]) -> bytes:
        """Add the owners' messages, at the aggregator."""
        ...


class Opener(Protocol):
    """What only the readers of an aggregation have."""

    def open(self, blob: bytes, bound: Bound, *, owners: int) -> np.ndarray:
        """Read the sum over `owners` owners, at the reader; shape (size,)."""
        ...


class PlainAggregation:
    """Contributions in the clear: an aggregation that whoever holds it can open."""

    def grid(self, bound: Bound) -> float:
        """Return 0: values travel as they are."""
        return 0.0

    def protect(self, total: np.ndarray, bound: Bound) -> bytes:
        """Serialise the total as it is."""
        return wire.pack({"total": total})

    def add(self, blobs: Sequence[bytes]) -> bytes:
        """Add the totals."""
        return wire.pack({"total": sum(wire.unpack(blob)["total"] for blob in blobs)})

    def open(self, blob: bytes, bound: Bound, *, owners: int) -> np.ndarray:
        """Read the sum."""
        return wire.unpack(blob)["total"]
