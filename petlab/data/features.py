"""Encode a table as numbers, from public knowledge alone."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from petlab.data.table import MISSING, Table


@dataclass(frozen=True)
class Features:
    """Encoded features.

    Attributes
    ----------
    matrix
        Shape (rows, features). Numbers are centred on the middle of their public range (or
        on their typical value) and scaled into [-1, 1], categories are one-hot.
    norm
        Public bound on the Euclidean norm of a row: each column adds at most one.
    """

    matrix: np.ndarray
    names: tuple[str, ...]
    norm: float


def encode(table: Table) -> Features:
    """Scale and one-hot encode the feature columns of a table."""
    blocks, names = [], []
    for column in table.columns:
        values = table.values[column.name]
        if column.kind == "number":
            assert column.range is not None
            low, high = column.range
            centre = (low + high) / 2 if column.typical is None else column.typical
            # The farther end of the range becomes +-1, so that the norm's bound stays.
            reach = max(high - centre, centre - low)
            blocks.append(((values - centre) / reach)[:, None])
            names.append(column.name)
        else:
            blocks.append(np.eye(len(column.levels))[values])
            names += [f"{column.name}={level}" for level in column.levels]
    return Features(np.hstack(blocks), tuple(names), float(np.sqrt(len(table.columns))))


def as_category(table: Table, name: str, *, bins: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Codes and level names of a column; a number is cut at equal steps of its range.

    Parameters
    ----------
    bins
        Intervals that a number's public range is cut into.

    Returns
    -------
    Codes, shape (rows,), `MISSING` where there is no value; and the names.
    """
    column = table.column(name)
    values = table.values[name]
    if column.kind == "category":
        return values, column.levels
    assert column.range is not None
    low, high = column.range
    missing = np.isnan(values)
    share = np.where(missing, 0.0, (values - low) / (high - low))
    codes = np.clip((share * bins).astype(np.int64), 0, bins - 1)
    codes[missing] = MISSING
    edges = np.linspace(low, high, bins + 1)
    return codes, tuple(f"{a:g} to {b:g}" for a, b in itertools.pairwise(edges))
