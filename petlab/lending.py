"""What one technique lends to another: how it protects, adds and opens sums."""

from __future__ import annotations

from typing import Protocol

from petlab.aggregation import Aggregation, Opener
from petlab.result import Guarantee


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
