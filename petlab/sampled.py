"""A smaller study of the same table: some of its records, some of its features."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from petlab.dataset import Dataset
from petlab.errors import DataError, UsageError
from petlab.table import Table

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
        How many records, drawn without replacement, as many of each class as before by share;
        None for all.
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
            The table has fewer records, a class would have none, or what `Dataset.load` raises.
        """
        table = self.whole.load()
        kept = {*self.card.columns}
        columns = tuple(c for c in table.columns if c.name.removesuffix(" missing") in kept)
        names = {*kept, *(c.name for c in columns)}
        values = {name: v for name, v in table.values.items() if name in names}
        table = Table(self.card, values, columns, table.rows)
        return table if self.rows is None else _fewer(table, self.rows, self.seed)


def sample(
    whole: Dataset, *, rows: int | None = None, features: int | None = None, seed: int = 0
) -> Dataset:
    """Return the data set, or a part of it: its first features, and records drawn by seed.

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
    if rows > table.rows:
        raise DataError(f"the table has {table.rows} records, not {rows}: lower `rows`.")
    rng = np.random.default_rng([seed, 11])
    # Whole parts of each class's share; the largest remainders get what is left.
    target = table.values[table.card.target]
    classes, counts = np.unique(target, return_counts=True)
    shares = counts * rows / table.rows
    take = np.floor(shares).astype(int)
    take[np.argsort(take - shares)[: rows - take.sum()]] += 1
    if (take < 1).any():
        raise DataError(f"{rows} records leave none of the rarest class: raise `rows`.")
    drawn = [
        rng.choice(np.flatnonzero(target == label), count, replace=False)
        for label, count in zip(classes, take, strict=True)
    ]
    index = np.sort(np.concatenate(drawn))
    values = {name: v[index] for name, v in table.values.items()}
    return Table(table.card, values, table.columns, rows)
