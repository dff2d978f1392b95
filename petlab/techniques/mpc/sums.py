"""Exact sums of contributions on additive shares."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from petlab.core.aggregation import Bound
from petlab.errors import OutOfRange, ProtocolError
from petlab.metering import wire
from petlab.techniques.mpc.streams import joined, split

ROOM = 62
"""Sums stay within +-2^62, so that their sign is told from a wrap around 2^64."""
MOST_BITS = 44
"""More fraction bits than this are not used: contributions are doubles."""


class SharedSums:
    """Aggregation in which every compute party adds shares that look random to it.

    Values become integers at a power of two at which the sum of all terms, each within its
    public bound, stays within the ring.

    Parameters
    ----------
    holders
        Compute parties.
    terms
        Most values that will ever be added.
    add
        Adds shares of so many numbers at a holder's process, `add(holder, shares, size)`.
    """

    def __init__(
        self,
        holders: tuple[str, ...],
        *,
        terms: int,
        add: Callable[[str, Sequence[np.ndarray], int], np.ndarray],
    ) -> None:
        self.holders, self._terms, self._add = holders, terms, add

    def scale_bits(self, bound: Bound) -> int:
        """Fraction bits of the fixed-point integers.

        Raises
        ------
        OutOfRange
            The bound leaves no room even for whole numbers.
        """
        room = math.floor(ROOM - math.log2(bound.limit * self._terms))
        if room < 0:
            raise OutOfRange(
                f"totals up to {bound.limit:g} do not fit the ring of 64-bit integers. Lower "
                "records_max to the size of the study."
            )
        return 0 if bound.integer else min(room, MOST_BITS)

    def grid(self, bound: Bound) -> float:
        """Return the value of the last fixed-point bit."""
        return 2.0 ** -self.scale_bits(bound)

    def protect(self, total: np.ndarray, bound: Bound, *, sender: str = "") -> list[bytes]:
        """Split one party's total into a share for each holder."""
        integers = bound.integers(total, self.scale_bits(bound))
        size = np.array(len(integers))
        shares = split(integers, len(self.holders))
        return [wire.pack({"share": share, "size": size}) for share in shares]

    def add(self, holder: str, blobs: Sequence[bytes]) -> bytes:
        """Add shares at the holder's process."""
        if len(blobs) > self._terms:
            raise ProtocolError(f"more than the {self._terms} planned terms were added.")
        sent = [wire.unpack(blob) for blob in blobs]
        shares = [message["share"] for message in sent]
        return wire.pack({"share": self._add(holder, shares, int(sent[0]["size"]))})

    def open(self, blobs: Sequence[bytes], bound: Bound, *, owners: int) -> np.ndarray:
        """Add the holders' shares of the sum, at a reader."""
        integers = joined([wire.unpack(blob)["share"] for blob in blobs])
        return np.ldexp(integers.astype(float), -self.scale_bits(bound))
