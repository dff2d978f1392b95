"""The interface of output guards: what `+dp` does at contribution and at reveal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from petlab.contribution import Contribution, Noise
from petlab.rows import Rows

if TYPE_CHECKING:
    from petlab.result import Guarantee


class Release(Protocol):
    """Bounds what one unit can contribute, and adds noise before anybody reads."""

    place: str
    """Who adds the noise: "curator", "aggregator" or "owners"."""

    def clipped_total(self, rows: Rows, contribution: Contribution) -> np.ndarray:
        """Total of the rows after bounding each; shape (size,)."""
        ...

    def noisy(
        self, total: np.ndarray, contribution: Contribution
    ) -> tuple[np.ndarray, Noise | None]:
        """Add this release's noise to a total, and say which noise it was."""
        ...

    def guarantee(self, inputs: Guarantee) -> Guarantee:
        """State what the outputs are protected by, on top of how inputs were."""
        ...
