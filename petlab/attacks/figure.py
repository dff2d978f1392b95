"""Originals and what was rebuilt of them, as one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from petlab.errors import UsageError

if TYPE_CHECKING:
    from petlab.attacks.study import GradientInversion

GAP = 1
"""Blank pixels between pictures; twice as many between victims."""


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
