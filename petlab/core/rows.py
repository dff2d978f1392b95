"""One row per unit of privacy, without ever writing the rows out.

A contribution returns rows. Their total is what is protected and added; their norms are
what differential privacy clips. Gram matrices and outer products know both without
the n x d matrix of rows, which for 30,000 records and 100 hidden units would be 1.2 GB.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np


class Rows(ABC):
    """A batch of rows: `count` of them, each a flat vector of `width` numbers."""

    count: int
    width: int

    @abstractmethod
    def total(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Return the sum of the rows, each times its weight; shape (width,)."""

    @abstractmethod
    def norms(self, order: int = 2) -> np.ndarray:
        """Norm (1 or 2) of each row, or an upper bound of it; shape (count,)."""


class Dense(Rows):
    """Rows that are written out; `values` has shape (count, ...)."""

    def __init__(self, values: np.ndarray) -> None:
        self.count, self.width = len(values), math.prod(values.shape[1:])
        self.values = values.reshape(self.count, self.width)

    def total(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Return the weighted sum of the rows."""
        return self.values.sum(0) if weights is None else weights @ self.values

    def norms(self, order: int = 2) -> np.ndarray:
        """Norm of each row."""
        return np.linalg.norm(self.values, ord=order, axis=1)


class Cells(Rows):
    """Rows with a single one at `index` and zeros elsewhere: votes, counts, histograms."""

    def __init__(self, index: np.ndarray, width: int) -> None:
        self.index, self.width, self.count = index, width, len(index)

    def total(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Counts per cell."""
        return np.bincount(self.index, weights, self.width).astype(float)

    def norms(self, order: int = 2) -> np.ndarray:
        """One, whatever the table's size."""
        return np.ones(self.count)


class Outer(Rows):
    """Row i is the outer product of left[i] (p,) and right[i] (q,), flattened to p*q."""

    def __init__(self, left: np.ndarray, right: np.ndarray) -> None:
        self.left, self.right = left, right
        self.count, self.width = len(left), left.shape[1] * right.shape[1]

    def total(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Return left' W right, flattened."""
        left = self.left if weights is None else self.left * weights[:, None]
        return (left.T @ self.right).ravel()

    def norms(self, order: int = 2) -> np.ndarray:
        """Product of the factors' norms (exact for both orders)."""
        return _norms(self.left, order) * _norms(self.right, order)


class Gram(Rows):
    """Row i is scale[i] * (x x' on and above the diagonal) of x = values[i] (p,)."""

    def __init__(self, values: np.ndarray, scale: np.ndarray | None = None) -> None:
        self.values = values
        self.scale = np.ones(len(values)) if scale is None else scale
        self.count, p = values.shape
        self.width = p * (p + 1) // 2

    def total(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Upper triangle of X' W X, row by row."""
        scale = self.scale if weights is None else self.scale * weights
        gram = (self.values * scale[:, None]).T @ self.values
        return gram[np.triu_indices(self.values.shape[1])]

    def norms(self, order: int = 2) -> np.ndarray:
        """Norm of the upper triangle: off-diagonal entries count once."""
        diagonal = np.abs(self.values) ** (2 * order)
        full = _norms(self.values, order) ** (2 * order)
        return np.abs(self.scale) * ((full + diagonal.sum(1)) / 2) ** (1 / order)


class Stack(Rows):
    """Rows laid side by side: all parts describe the same units in the same order."""

    def __init__(self, *parts: Rows) -> None:
        self.parts, self.count = parts, parts[0].count
        self.width = sum(part.width for part in parts)

    def total(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Totals of the parts, one after the other."""
        return np.concatenate([part.total(weights) for part in self.parts])

    def norms(self, order: int = 2) -> np.ndarray:
        """Norm of the concatenated row."""
        powers = sum(part.norms(order) ** order for part in self.parts)
        return np.asarray(powers) ** (1 / order)


class OwnerTotal(Rows):
    """A single row that stands for a whole owner: differential privacy only at owner level."""

    def __init__(self, value: np.ndarray) -> None:
        self.value, self.count, self.width = value.ravel(), 1, value.size

    def total(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Return the owner's vector."""
        return self.value if weights is None else self.value * weights[0]

    def norms(self, order: int = 2) -> np.ndarray:
        """Norm of the owner's vector."""
        return np.array([np.linalg.norm(self.value, ord=order)])


def symmetric(upper: np.ndarray, size: int) -> np.ndarray:
    """Rebuild the (size, size) symmetric matrix from its upper triangle, row by row."""
    matrix = np.zeros((size, size))
    matrix[np.triu_indices(size)] = upper
    return matrix + np.triu(matrix, 1).T


def _norms(values: np.ndarray, order: int) -> np.ndarray:
    return np.linalg.norm(values, ord=order, axis=1)
