"""How near a rebuilt record is to its original, beside what needs no attack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RECOVERED = 0.1
"""A record counts as recovered below this share of the mean record's squared error."""


@dataclass(frozen=True)
class Rebuilt:
    """Rebuilt records in the order of their originals, and how near they are.

    Attributes
    ----------
    records
        Shape (victims, features), cut to the range of the population's values; not-a-number
        where nothing was rebuilt of a victim.
    squares, squares_mean, squares_other
        Mean squared error of each victim; of the population's mean record; of other records,
        as many as there are victims, drawn at random and matched in the same way.
    peak
        Width of the population's range.
    """

    records: np.ndarray
    squares: np.ndarray
    squares_mean: np.ndarray
    squares_other: np.ndarray
    peak: float

    @classmethod
    def joined(cls, parts: Sequence[Rebuilt]) -> Rebuilt:
        """Batches after one another."""
        names = ("records", "squares", "squares_mean", "squares_other")
        arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        return cls(**arrays, peak=parts[0].peak)

    @property
    def errors(self) -> np.ndarray:
        """Squared error of each victim over that of the mean record."""
        return np.nan_to_num(self.squares / self.squares_mean, nan=np.inf)

    @property
    def recovered(self) -> int:
        """How many victims were recovered."""
        return int((self.errors < RECOVERED).sum())

    @property
    def psnr(self) -> float:
        """Median peak signal-to-noise ratio, in dB."""
        return self._decibels(self.squares)

    @property
    def psnr_mean(self) -> float:
        """The same of the mean record."""
        return self._decibels(self.squares_mean)

    @property
    def psnr_other(self) -> float:
        """The same of another record."""
        return self._decibels(self.squares_other)

    def _decibels(self, squares: np.ndarray) -> float:
        ratios = self.peak**2 / np.maximum(np.nan_to_num(squares, nan=np.inf), 1e-300)
        return float(10 * np.log10(max(float(np.median(ratios)), 1e-300)))


def scored(
    guessed: np.ndarray, originals: np.ndarray, population: np.ndarray, rng: np.random.Generator
) -> Rebuilt:
    """Match guesses to originals so that the total error is least, and measure it.

    Parameters
    ----------
    guessed
        Shape (guesses, features), in any order; as many as originals, or fewer.
    """
    low, high = float(population.min()), float(population.max())
    records, squares = _matched(np.clip(guessed, low, high), originals)
    others = population[rng.choice(len(population), len(originals), replace=False)]
    mean = population.mean(0)
    return Rebuilt(
        records=records,
        squares=squares,
        squares_mean=((originals - mean) ** 2).mean(1),
        squares_other=_matched(others, originals)[1],
        peak=high - low,
    )


def _matched(guessed: np.ndarray, originals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Guesses in the order of the originals, and their mean squared errors."""
    from scipy.optimize import linear_sum_assignment

    distances = ((guessed[:, None] - originals[None]) ** 2).mean(2)
    rows, columns = linear_sum_assignment(distances)
    records = np.full(originals.shape, np.nan)
    squares = np.full(len(originals), np.nan)
    records[columns], squares[columns] = guessed[rows], distances[rows, columns]
    return records, squares
