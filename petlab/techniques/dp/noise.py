"""Noise for differential privacy, from a cryptographic stream.

Limits of floating point: Gaussian samples are doubles, so that their lowest bits are not
those of a real Gaussian (Mironov, CCS 2012). Sums are therefore rounded to a public grid
after noise is added, which is post-processing and hides those bits; the epsilon printed is
that of the ideal mechanism. Discrete Laplace samples and their shares are integers and exact up
to the 53 bits of each uniform draw.
"""

from __future__ import annotations

import secrets
from functools import cache

import numpy as np

GRID_BITS = 20
"""Gaussian noise is rounded to multiples of its deviation times 2**-GRID_BITS."""


class NoiseStream:
    """Random numbers from ChaCha20 under a key that nobody keeps.

    Parameters
    ----------
    insecure_seed
        Fixes the key, for experiments that must repeat. The guarantee then says so.
    """

    def __init__(self, insecure_seed: int | None = None) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher
        from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

        key = (
            secrets.token_bytes(32)
            if insecure_seed is None
            else insecure_seed.to_bytes(32, "big", signed=True)
        )
        self._stream = Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor()

    def uniform(self, count: int) -> np.ndarray:
        """Numbers in (0, 1], multiples of 2**-53."""
        words = np.frombuffer(self._stream.update(bytes(8 * count)), np.uint64)
        return ((words >> np.uint64(11)).astype(float) + 1.0) * 2.0**-53

    def gaussian(self, deviation: float, count: int) -> np.ndarray:
        """Normal numbers of the given standard deviation (Box-Muller)."""
        half = (count + 1) // 2
        radius = np.sqrt(-2 * np.log(self.uniform(half)))
        angle = 2 * np.pi * self.uniform(half)
        pairs = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
        return deviation * pairs[:count]

    def discrete_laplace(self, scale: float, count: int) -> np.ndarray:
        """Integers k with probability proportional to exp(-|k| / scale)."""
        # The difference of two geometric variables, each the floor of an exponential.
        return self._geometric(scale, count) - self._geometric(scale, count)

    def polya(self, scale: float, shares: int, count: int) -> np.ndarray:
        """Shares of discrete Laplace noise: as many of them add up to `discrete_laplace(scale)`.

        Each is the difference of two negative binomial variables with 1 / `shares` successes
        (Polya variables), which are infinitely divisible: sums of them are of the same kind,
        whole numbers without any rounding.

        References
        ----------
        .. [1] Goryczka, Xiong, A Comprehensive Comparison of Multiparty Secure Additions with
           Differential Privacy, IEEE TDSC 14(5), 2017, section 5 (geometric from Polya shares).
        """
        ends = _negative_binomial(1 / shares, float(np.exp(-1 / scale)))
        first, second = (np.searchsorted(ends, self.uniform(count), side="left") for _ in range(2))
        return (first - second).astype(float)

    def _geometric(self, scale: float, count: int) -> np.ndarray:
        return np.floor(-scale * np.log(self.uniform(count)))


@cache
def _negative_binomial(successes: float, ratio: float) -> np.ndarray:
    """Distribution function, from 0 to where less than a uniform draw can tell is left."""
    from scipy import stats

    length = int(stats.nbinom.isf(2.0**-60, successes, 1 - ratio)) + 2
    ends = stats.nbinom.cdf(np.arange(length), successes, 1 - ratio)
    ends[-1] = 1.0
    return ends


def to_grid(values: np.ndarray, deviation: float) -> np.ndarray:
    """Round to the public grid that belongs to noise of this deviation."""
    step = 2.0 ** (np.floor(np.log2(deviation)) - GRID_BITS)
    return np.rint(values / step) * step
