"""What an attacker rebuilt: as a table, and as one picture of originals and what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from petlab.attacks.gradients.score import Rebuilt
from petlab.errors import UsageError

if TYPE_CHECKING:
    import pandas

GAP = 1
"""Blank pixels between pictures; twice as many between victims."""


@dataclass(frozen=True)
class Inversion:
    """One technique at one batch size.

    Attributes
    ----------
    attacker
        The party whose view was attacked.
    readable
        Its messages held numbers in their own format; otherwise bytes were taken for numbers,
        and of several ways the one that hit best, which no attacker could know, is shown.
    originals
        The victims, shape (victims, features).
    """

    title: str
    batch: int
    attacker: str
    readable: bool
    originals: np.ndarray
    rebuilt: Rebuilt


@dataclass(frozen=True)
class GradientInversion:
    """What an attacker rebuilt under each technique at each batch size.

    Attributes
    ----------
    image
        Height and width where records are images, or None.
    """

    dataset: str
    cells: Sequence[Inversion]
    image: tuple[int, int] | None

    @property
    def titles(self) -> list[str]:
        """Techniques, in order."""
        return list(dict.fromkeys(cell.title for cell in self.cells))

    @property
    def batches(self) -> list[int]:
        """Batch sizes, in order."""
        return list(dict.fromkeys(cell.batch for cell in self.cells))

    def cell(self, title: str, batch: int) -> Inversion:
        """One technique at one batch size."""
        return next(c for c in self.cells if (c.title, c.batch) == (title, batch))

    @property
    def table(self) -> pandas.DataFrame:
        """One row for every technique and batch size."""
        import pandas as pd

        rows = [
            {
                "technique": cell.title,
                "records in a message": cell.batch,
                "attacker": cell.attacker,
                "reads numbers": "yes" if cell.readable else "no",
                "recovered": f"{cell.rebuilt.recovered} of {len(cell.originals)}",
                "PSNR, dB (median)": f"{cell.rebuilt.psnr:.0f}",
                "of the mean record": f"{cell.rebuilt.psnr_mean:.0f}",
                "of another record": f"{cell.rebuilt.psnr_other:.0f}",
            }
            for cell in self.cells
        ]
        return pd.DataFrame(rows).set_index(["technique", "records in a message"])

    def draw(self, axes: Any, *, shown: int = 2) -> None:
        """Draw the first few victims beside what was rebuilt of them."""
        mosaic(self, axes, shown=shown)

    def _repr_html_(self) -> str:
        return (
            f"<h3>Gradient inversion ({self.dataset})</h3><p>Recovered: less than a tenth of the "
            "mean record's squared error.</p>" + self.table.to_html()
        )


def mosaic(found: GradientInversion, axes: Any, *, shown: int) -> None:
    """Draw a row for each technique; for each victim the original, then every batch size.

    Shades of grey only: dark is ink.

    Raises
    ------
    UsageError
        The records are not images.
    """
    if found.image is None:
        raise UsageError(f"{found.dataset} holds no images: its card names no image size.")
    height, width = found.image
    low = min(float(cell.originals.min()) for cell in found.cells)
    high = max(float(cell.originals.max()) for cell in found.cells)
    columns = 1 + len(found.batches)
    span = columns * (width + GAP) + 2 * GAP
    canvas = np.full((len(found.titles) * (height + GAP), shown * span), np.nan)
    ticks, labels = [], []
    for victim in range(shown):
        for column, name in enumerate(("original", *map(str, found.batches))):
            left = victim * span + column * (width + GAP)
            ticks.append(left + (width - 1) / 2)
            labels.append(name)
            for row, title in enumerate(found.titles):
                cell = found.cell(title, found.batches[max(column - 1, 0)])
                source = cell.originals if column == 0 else cell.rebuilt.records
                top = row * (height + GAP)
                picture = source[victim].reshape(height, width)
                canvas[top : top + height, left : left + width] = picture
    axes.imshow(canvas, cmap="gray_r", vmin=low, vmax=high, interpolation="nearest")
    middles = np.arange(len(found.titles)) * (height + GAP) + (height - 1) / 2
    axes.set_yticks(middles, [title.replace(", ", ",\n") for title in found.titles], fontsize=6)
    axes.set_xticks(ticks, labels, fontsize=6, rotation=90)
    axes.set_xlabel("records in the attacked message", fontsize=7)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
