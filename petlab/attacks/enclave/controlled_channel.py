"""The host's attack: from the pages or lines that an enclave touched to people's attributes.

The host holds the trace, knows the program (it is attested, so it is known), where its arrays lie,
how many records it reads, and the table that it published. Every time the enclave comes back to
the records, it turns to the next person; what it touches in between is that person's counter, or
hides it among others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from petlab.attacks.enclave.oblivious import Count, place
from petlab.attacks.enclave.trace import AddressSpace
from petlab.errors import UsageError

LEVEL = 0.95


@dataclass(frozen=True)
class Known:
    """What the host knows without looking at the enclave's memory.

    Attributes
    ----------
    unit
        Bytes that the host tells apart.
    input_units
        First unit of the records and first behind them.
    counter_units
        Unit of each counter of the table; shape (counters,).
    published
        The table of counts, the program's output.
    """

    unit: int
    input_units: tuple[int, int]
    counter_units: np.ndarray
    published: np.ndarray


@dataclass(frozen=True)
class Recovered:
    """How many people's attribute the host got right.

    Attributes
    ----------
    chance
        Share that it gets right from the published table alone: always the commonest value.
    """

    right: int
    people: int
    chance: float

    @property
    def accuracy(self) -> float:
        """Share of the people."""
        return self.right / self.people

    @property
    def interval(self) -> tuple[float, float]:
        """Clopper-Pearson interval of the accuracy at 95 %."""
        from scipy import stats

        found = stats.binomtest(self.right, self.people).proportion_ci(LEVEL, method="exact")
        return float(found.low), float(found.high)


def watch(
    count: Count, records: np.ndarray, levels: tuple[int, ...], unit: int
) -> tuple[np.ndarray, Known]:
    """Run a version of the table in an enclave that is watched: the trace, and what is public."""
    space = AddressSpace(unit)
    counting = place(records, levels, space)
    published = count(counting)
    inputs = counting.inputs.units(unit)
    counters = counting.counters.units(unit)[: published.size]
    return space.trace, Known(unit, (int(inputs[0]), int(inputs[-1]) + 1), counters, published)


def steps(trace: np.ndarray, known: Known) -> list[np.ndarray]:
    """Units touched for each person: what lies between two visits to the records."""
    first, behind = known.input_units
    reading = (first <= trace) & (trace < behind)
    turns = np.flatnonzero(reading & ~np.r_[False, reading[:-1]])
    return [
        np.unique(part[~((first <= part) & (part < behind))]) for part in np.split(trace, turns)[1:]
    ]


def recover(trace: np.ndarray, known: Known, attribute: int) -> np.ndarray:
    """Guess an attribute (an axis of the table) of every person.

    The person's counter is among those touched. Before looking, each counter is as likely as its
    count in the published table; the guess is the likeliest value of the attribute.
    """
    weights = known.published.astype(float)
    others = tuple(axis for axis in range(weights.ndim) if axis != attribute)
    guesses = []
    for units in steps(trace, known):
        possible = np.isin(known.counter_units, units).reshape(weights.shape)
        guesses.append(int((weights * possible).sum(axis=others).argmax()))
    return np.array(guesses)


def attack(
    count: Count, records: np.ndarray, levels: tuple[int, ...], *, attribute: int, unit: int
) -> Recovered:
    """Watch a version of the table and compare the guesses with the truth."""
    trace, known = watch(count, records, levels, unit)
    guesses = recover(trace, known, attribute)
    if len(guesses) != len(records):
        raise UsageError(f"the trace has {len(guesses)} turns for {len(records)} records.")
    truth = np.asarray(records)[:, attribute]
    commonest = np.bincount(truth).max() / len(truth)
    return Recovered(int((guesses == truth).sum()), len(truth), float(commonest))
