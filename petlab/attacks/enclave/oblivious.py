"""Counting people in a table inside an enclave: naively, and so that the host learns nothing.

All versions return the same table. They differ in which counters they touch for each person, and
so in what a host sees that follows the memory accesses (`trace.py`). A computation is oblivious
when the sequence of its accesses is the same for all inputs of the same public size (Ohrimenko et
al. [1]_, who build such versions of learning algorithms for enclaves).

The select (`cell == wanted`, added to every counter) needs no branch, but Python promises nothing
about time: what is oblivious here is the pattern of accesses, not the timing of instructions.

References
----------
.. [1] Ohrimenko et al., Oblivious Multi-Party Machine Learning on Trusted Processors, USENIX
   Security 2016.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from petlab.attacks.enclave.trace import PAGE, AddressSpace, Watched

COUNTER = 8
PER_PAGE = PAGE // COUNTER
"""Counters on a page, at eight bytes each."""
MIN_TIMED = 2_000
"""People that are timed at least: a shorter run would time the call, not the counting."""
BLOCK = 64
"""People that are compared with all counters at once: 3 MB for six thousand counters."""


@dataclass(frozen=True)
class Counting:
    """A table being counted; its layout is public.

    Attributes
    ----------
    inputs
        The records, one after the other, in the enclave's memory.
    counters
        The table, row by row, and unused counters up to the end of its last page.
    levels
        Number of values of each attribute: the shape of the table.
    people
        Number of records.
    """

    inputs: Watched
    counters: Watched
    levels: tuple[int, ...]
    people: int

    def cell(self, person: int) -> int:
        """Read a record, and number the counter that it belongs to."""
        width = len(self.levels)
        record = self.inputs.read(slice(person * width, (person + 1) * width))
        return int(np.ravel_multi_index(tuple(record), self.levels))

    @property
    def table(self) -> np.ndarray:
        """The counts, in the shape of the levels."""
        return self.counters.values[: math.prod(self.levels)].reshape(self.levels)


def place(records: np.ndarray, levels: tuple[int, ...], space: AddressSpace) -> Counting:
    """Put records (people, attributes) and an empty table into an enclave's memory."""
    pages = -(-math.prod(levels) // PER_PAGE)
    inputs = space.place(np.asarray(records, np.int64))
    counters = space.place(np.zeros(pages * PER_PAGE, np.int64))
    return Counting(inputs, counters, levels, len(records))


def naive_table(counting: Counting) -> np.ndarray:
    """Each person adds one to one counter, at an address that tells which."""
    for person in range(counting.people):
        counting.counters.add(counting.cell(person), 1)
    return counting.table


def page_oblivious_table(counting: Counting) -> np.ndarray:
    """Each person touches one counter of every page, at the same place of each.

    Enough against who sees pages, not against who sees lines: the place within the page tells.
    """
    starts = np.arange(0, counting.counters.values.size, PER_PAGE)
    for person in range(counting.people):
        wanted = counting.cell(person)
        cells = starts + wanted % PER_PAGE
        counting.counters.add(cells, cells == wanted)
    return counting.table


def oblivious_table(counting: Counting) -> np.ndarray:
    """Each person touches every counter; one of the numbers added is a one."""
    cells = np.arange(math.prod(counting.levels))
    for person in range(counting.people):
        wanted = counting.cell(person)
        counting.counters.add(slice(0, len(cells)), cells == wanted)
    return counting.table


Count = Callable[[Counting], np.ndarray]
VERSIONS: Mapping[str, Count] = {
    "naive": naive_table,
    "page-oblivious": page_oblivious_table,
    "oblivious": oblivious_table,
}


@dataclass(frozen=True)
class Effort:
    """What one version costs.

    Attributes
    ----------
    touches
        Counters used for each person: exact, whatever the machine.
    wall_s
        Measured time for each person, with nobody watching.
    """

    touches: float
    wall_s: float


def efforts(records: np.ndarray, levels: tuple[int, ...], *, repeats: int = 7) -> dict[str, Effort]:
    """Count touches, and time the same touches in numpy's compiled loops.

    The watched versions above go person by person in Python, whose own time for each person would
    hide most of the difference. The versions are timed in turns, so that all see the same machine;
    the shortest of `repeats` counts.
    """
    cells = np.ravel_multi_index(tuple(np.asarray(records).T), levels)
    copies = np.tile(cells, -(-MIN_TIMED // len(cells)))
    times: dict[str, list[float]] = {name: [] for name in VERSIONS}
    for _ in range(repeats):
        for name, count in COMPILED.items():
            start = time.perf_counter()
            count(copies, math.prod(levels))
            times[name].append(time.perf_counter() - start)
    found = {}
    for name, watched in VERSIONS.items():
        counting = place(records, levels, AddressSpace(unit=None))
        watched(counting)
        touches = counting.counters.touched / len(cells)
        found[name] = Effort(touches, min(times[name]) / len(copies))
    return found


def cost_of_obliviousness(
    records: np.ndarray, levels: tuple[int, ...], *, repeats: int = 7
) -> tuple[float, float]:
    """Touches and measured time of the oblivious version, each over the naive version's."""
    found = efforts(records, levels, repeats=repeats)
    naive, oblivious = found["naive"], found["oblivious"]
    return oblivious.touches / naive.touches, oblivious.wall_s / naive.wall_s


def _naive(cells: np.ndarray, size: int) -> np.ndarray:
    counters = np.zeros(size, np.int64)
    np.add.at(counters, cells, 1)
    return counters


def _page_oblivious(cells: np.ndarray, size: int) -> np.ndarray:
    counters = np.zeros(-(-size // PER_PAGE) * PER_PAGE, np.int64)
    touched = cells[:, None] % PER_PAGE + np.arange(0, len(counters), PER_PAGE)
    np.add.at(counters, touched, (touched == cells[:, None]).astype(np.int64))
    return counters[:size]


def _oblivious(cells: np.ndarray, size: int) -> np.ndarray:
    counters, every = np.zeros(size, np.int64), np.arange(size)
    for start in range(0, len(cells), BLOCK):
        counters += (cells[start : start + BLOCK, None] == every).sum(0)
    return counters


COMPILED: Mapping[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "naive": _naive,
    "page-oblivious": _page_oblivious,
    "oblivious": _oblivious,
}
