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
    """Protect at the owner and add at the holders: nothing here can read.

    A federation that aggregates ciphertexts or shares uses another technique's
    implementation of this interface; no technique imports another.
    """

    @property
    def holders(self) -> tuple[str, ...]:
        """The parties that add: one server for ciphertexts, every compute party for shares."""
        ...

    def grid(self, bound: Bound) -> float:
        """Return the step to which values are rounded; 0 for none."""
        ...

    def protect(self, total: np.ndarray, bound: Bound) -> list[bytes]:
        """Turn a total, shape (size,), into one message for each holder, in their order."""
        ...

    def add(self, holder: str, blobs: Sequence[bytes]) -> bytes:
        """Add at one holder the messages that this holder was sent, and no others."""
        ...


class Opener(Protocol):
    """What only the readers of an aggregation have."""

    def open(self, blobs: Sequence[bytes], bound: Bound, *, owners: int) -> np.ndarray:
        """Read the sum of `owners` totals from one message of each holder; shape (size,)."""
        ...


class PlainAggregation:
    """Contributions in the clear: an aggregation that whoever holds it can open.

    Parameters
    ----------
    holder
        The party that adds.
    """

    def __init__(self, holder: str) -> None:
        self.holders = (holder,)

    def grid(self, bound: Bound) -> float:
        """Return 0: values travel as they are."""
        return 0.0

    def protect(self, total: np.ndarray, bound: Bound) -> list[bytes]:
        """Serialise the total as it is."""
        return [wire.pack({"total": total})]

    def add(self, holder: str, blobs: Sequence[bytes]) -> bytes:
        """Add the totals."""
        return wire.pack({"total": sum(wire.unpack(blob)["total"] for blob in blobs)})

    def open(self, blobs: Sequence[bytes], bound: Bound, *, owners: int) -> np.ndarray:
        """Read the sum."""
        (blob,) = blobs
        return wire.unpack(blob)["total"]
