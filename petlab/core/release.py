"""The interface of output guards: what `+dp` does at contribution and at reveal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from petlab.core.contribution import Contribution, Noise
from petlab.core.party import LocalSteps, Shard
from petlab.core.rows import Rows

if TYPE_CHECKING:
    from petlab.core.claims import Guarantee


@dataclass(frozen=True)
class Exposure:
    """What the aggregator of a technique gets to see, which decides who must add noise.

    Attributes
    ----------
    places
        Who can add the noise, the usual one first: "curator", "owners" or "aggregator".
    contributions
        The aggregator reads each owner's contribution by itself.
    """

    places: tuple[str, ...]
    contributions: bool


class Release(Protocol):
    """Bounds what one unit can contribute, and adds noise before anybody reads."""

    place: str
    """Who adds the noise."""

    @property
    def fractional(self) -> bool:
        """Shares of the noise are no whole numbers, and must not be rounded to such."""
        ...

    @property
    def recipe(self) -> tuple[str, Mapping[str, Any]]:
        """Import path and settings of the guard that makes this release anew elsewhere."""
        ...

    def draw(self, shard: Shard, sample_rate: float) -> Shard:
        """Draw a Poisson-sampled batch of an owner's records."""
        ...

    def local_steps(self) -> LocalSteps:
        """Return what an owner that trains by itself draws batches and adds them with."""
        ...

    def clipped_total(self, rows: Rows, contribution: Contribution) -> np.ndarray:
        """Total of the rows after bounding each; shape (size,)."""
        ...

    def noisy(
        self, total: np.ndarray, contribution: Contribution, *, owners: int, grid: float
    ) -> np.ndarray:
        """Add one place's share of this release's noise to a total.

        Parameters
        ----------
        owners
            How many places add noise to the sum: 1 for a curator or an aggregator.
        grid
            Step to which the protection rounds what it is given; 0 for none.
        """
        ...

    def headroom(self, contribution: Contribution, *, owners: int, grid: float) -> float:
        """Bound the noise that one place adds to each coordinate, but for a negligible chance."""
        ...

    def account(self, contribution: Contribution, *, owners: int, grid: float) -> Noise | None:
        """Book one release, and say which noise its total carries."""
        ...

    def guarantee(self, inputs: Guarantee, *, aggregator: str) -> Guarantee:
        """State what the outputs are protected by, on top of how inputs were.

        Parameters
        ----------
        aggregator
            Name of the party that adds contributions, and noise where it is to.
        """
        ...
