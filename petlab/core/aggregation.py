"""How contributions are protected, added and opened, and how one technique lends it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from petlab.core.claims import Guarantee
from petlab.errors import OutOfRange
from petlab.metering import wire


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

    def checked(self, total: np.ndarray) -> np.ndarray:
        """Return a total, shape (size,), that keeps to the bound.

        Raises
        ------
        OutOfRange
            It does not, or is not finite.
        """
        if not np.all(np.isfinite(total)) or np.abs(total).max(initial=0) > self.limit:
            raise OutOfRange(
                f"a contribution exceeds its public bound of {self.limit:g}: nothing was sent."
            )
        return total

    def integers(self, total: np.ndarray, bits: int) -> np.ndarray:
        """Return a total as int64 multiples of 2^-bits, rounded to the nearest.

        Raises
        ------
        OutOfRange
            It exceeds the bound, or holds fractions where whole numbers were declared.
        """
        found = np.rint(np.ldexp(self.checked(total), bits)).astype(np.int64)
        if self.integer and not np.array_equal(found, total):
            raise OutOfRange("a contribution declared as integers holds fractions.")
        return found


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

    def protect(self, total: np.ndarray, bound: Bound, *, sender: str = "") -> list[bytes]:
        """Turn a total, shape (size,), into one message for each holder, in their order.

        Parameters
        ----------
        sender
            Whose total it is, where messages say so.
        """
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

    def protect(self, total: np.ndarray, bound: Bound, *, sender: str = "") -> list[bytes]:
        """Serialise the total as it is."""
        return [wire.pack({"total": total})]

    def add(self, holder: str, blobs: Sequence[bytes]) -> bytes:
        """Add the totals."""
        return wire.pack({"total": sum(wire.unpack(blob)["total"] for blob in blobs)})

    def open(self, blobs: Sequence[bytes], bound: Bound, *, owners: int) -> np.ndarray:
        """Read the sum."""
        (blob,) = blobs
        return wire.unpack(blob)["total"]


class Lender(Protocol):
    """A technique's aggregations at work in a session, its own or one that borrows them.

    It is made by `Technique.lend(host)` and uses of its host where the program runs
    (`place`), who adds when there is a single holder (`aggregator`), the owners, the meter,
    and `send` for keys and whatever else its protocol says.
    """

    def aggregation(self, *readers: str, terms: int) -> Aggregation:
        """Return the way at most `terms` values are protected and added for these readers."""
        ...

    def opener(self, *readers: str, terms: int) -> Opener:
        """Return what the readers open such a sum with: the only place for secret keys."""
        ...

    def guarantee(self) -> Guarantee:
        """State how contributions were protected, from what actually ran."""
        ...

    def close(self) -> None:
        """Release processes, files and sockets."""
        ...
