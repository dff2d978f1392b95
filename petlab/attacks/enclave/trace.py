"""An enclave's memory as its host sees it: which pages, in which order, never what they hold.

The hardware encrypts an enclave's memory, but the host's operating system still maps its pages.
By unmapping all of them and mapping one again at each fault, it learns the sequence of pages
that the enclave touches, without error (Xu, Cui, Peinado [1]_). Who shares the processor's caches
learns the same of cache lines, 64 times finer, with some error (Brasser et al. [2]_). Here both
are recorded without error: exact for pages, the limit of what an attacker can reach for lines.

References
----------
.. [1] Xu, Cui, Peinado, Controlled-Channel Attacks: Deterministic Side Channels for Untrusted
   Operating Systems, IEEE Symposium on Security and Privacy 2015.
.. [2] Brasser et al., Software Grand Exposure: SGX Cache Attacks Are Practical, WOOT 2017.
"""

from __future__ import annotations

import numpy as np

PAGE, LINE = 4096, 64
"""Bytes of a page and of a cache line on x86-64."""

Place = int | slice | np.ndarray


class AddressSpace:
    """The memory of one enclave.

    Parameters
    ----------
    unit
        Bytes that the host can tell apart: `PAGE`, `LINE`, or None when nobody watches.
    """

    def __init__(self, unit: int | None = PAGE) -> None:
        self.unit = unit
        self._free = 0
        self._seen: list[np.ndarray] = []

    def place(self, values: np.ndarray) -> Watched:
        """Copy an array to the next free page."""
        placed = Watched(self, np.array(values).ravel(), self._free)
        self._free += -(-placed.values.nbytes // PAGE) * PAGE
        return placed

    def touch(self, addresses: np.ndarray) -> None:
        """Note what the host sees when bytes at these addresses are used, in this order."""
        if self.unit is not None:
            self._seen.append(without_repeats(addresses // self.unit))

    @property
    def trace(self) -> np.ndarray:
        """Numbers of the units touched, in order.

        A unit that is used again at once is not seen again: its page is still mapped.
        """
        return without_repeats(np.concatenate([np.empty(0, np.int64), *self._seen]))


class Watched:
    """An array in an enclave's memory; its elements are used through `read` and `add` only.

    Attributes
    ----------
    values
        The elements, flat. Reading them here goes unseen: for results that have left the enclave.
    base
        Address of the first, a multiple of a page; the host knows it, as it maps the pages.
    touched
        Elements used so far.
    """

    def __init__(self, space: AddressSpace, values: np.ndarray, base: int) -> None:
        self.space, self.values, self.base = space, values, base
        self.touched = 0
        self._addresses = base + values.itemsize * np.arange(values.size)

    def read(self, at: Place) -> np.ndarray:
        """Elements at `at`."""
        self._touch(at)
        return np.asarray(self.values[at])

    def add(self, at: Place, amount: int | np.ndarray) -> None:
        """Add to the elements at `at`, which are all different."""
        self._touch(at)
        self.values[at] += amount

    def units(self, unit: int) -> np.ndarray:
        """Number of the unit that each element lies in: public, as the layout is."""
        return self._addresses // unit

    def _touch(self, at: Place) -> None:
        addresses = np.atleast_1d(self._addresses[at])
        self.touched += addresses.size
        self.space.touch(addresses)


def without_repeats(numbers: np.ndarray) -> np.ndarray:
    """Drop each number that equals the one before."""
    return numbers[np.diff(numbers, prepend=-1) != 0]
