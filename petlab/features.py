"""Encode a table as numbers, from public knowledge alone."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from petlab.table import Table


@dataclass(frozen=True)
class Features:
    """Encoded features.

    Attributes
    ----------
    matrix
        Shape (rows, features). Numbers are scaled from their public range to [-1, 1],
        categories are one-hot.
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
            blocks.append((2 * (values - low) / (high - low) - 1)[:, None])
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
    """
    column = table.column(name)
    values = table.values[name]
    if column.kind == "category":
        return values, column.levels
    assert column.range is not None
    low, high = column.range
    codes = np.clip(((values - low) / (high - low) * bins).astype(np.int64), 0, bins - 1)
    edges = np.linspace(low, high, bins + 1)
    return codes, tuple(f"{a:g} to {b:g}" for a, b in itertools.pairwise(edges))
