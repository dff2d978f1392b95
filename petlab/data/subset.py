"""A smaller study of the same table: some of its records, some of its features."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from petlab.data.assignment import coins
from petlab.data.dataset import Dataset
from petlab.data.table import Table
from petlab.errors import DataError, UsageError

SAMPLING = ("rows", "features")
"""Settings of any cell that make its table smaller."""


@dataclass(frozen=True)
class Sampled(Dataset):
    """A data set of which some records and features are used.

    Attributes
    ----------
    whole
        The data set.
    rows
        About how many records: each is kept with the same chance, by a coin of its own, so
        that one record less changes nothing about the others. None for all.
    seed
        Of the draw.
    """

    whole: Dataset
    rows: int | None
    seed: int

    def load(self) -> Table:
        """Read and check all records, and keep some.

        Raises
        ------
        DataError
            The table has fewer records, none is kept, or what `Dataset.load` raises.
        """
        table = self.whole.load()
        kept = {*self.card.columns}
        columns = tuple(c for c in table.columns if c.name.removesuffix(" missing") in kept)
        names = {*kept, *(c.name for c in columns)}
        values = {name: v for name, v in table.values.items() if name in names}
        table = replace(table, card=self.card, values=values, columns=columns)
        return table if self.rows is None else _fewer(table, self.rows, self.seed)


def sample(
    whole: Dataset, *, rows: int | None = None, features: int | None = None, seed: int = 0
) -> Dataset:
    """Return the data set, or a part of it: its first features, and some records.

    Raises
    ------
    UsageError
        A number is below one, there are fewer features, or they are pixels of an image.
    """
    if rows is None and features is None:
        return whole
    if min(n for n in (rows, features) if n is not None) < 1:
        raise UsageError("rows and features are at least 1.")
    card = whole.card
    if features is not None:
        names = [c.name for c in card.features]
        if card.image:
            raise UsageError("features cannot be left out of images: leave out `features`.")
        if features > len(names):
            raise UsageError(f"the table has {len(names)} features, not {features}.")
        # What chi-squared tests stays in, whatever its place.
        chosen = [n for n in names if n == card.factor] + [n for n in names if n != card.factor]
        gone = set(chosen[features:])
        card = replace(card, columns={n: c for n, c in card.columns.items() if n not in gone})
    return Sampled(card, whole.path, whole, rows, seed)


def _fewer(table: Table, rows: int, seed: int) -> Table:
    # The public number where there is one: a chance that follows from how many records there
    # are would change for all of them with each.
    size = table.card.records or table.rows
    if rows > size:
        raise DataError(f"the table has {size} records, not {rows}: lower `rows`.")
    kept = np.flatnonzero(coins(table.keys, "sample", seed=seed) < rows / size)
    if not len(kept):
        raise DataError(f"a sample of about {rows} records came out empty: raise `rows`.")
    return table.take(kept)
