"""Who takes part: the names of roles, and what a data owner holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from petlab.core.batches import batch
from petlab.core.rows import Rows

ANALYST = "analyst"
"""Asks the question and reads what is revealed."""
SERVER = "server"
"""Computes on protected values (compute server) or adds contributions (aggregator)."""
CURATOR = "curator"
"""Trusted with everybody's raw records under central differential privacy."""
AGGREGATOR = "aggregator"
"""Adds contributions and reads them, in plain federated learning."""
DEALER = "dealer"
"""Hands out correlated randomness before the data is there, in multiparty computation."""
ENCLAVE = "enclave"
"""Holds everybody's records where only hardware, if it keeps its promise, can reach them."""
OWNERS = "owners"
"""All data owners, as a place where noise is added."""

Memory = dict[str, np.ndarray]
"""Named values that an owner keeps from round to round and never sends."""


class LocalSteps(Protocol):
    """How an owner that trains by itself draws batches and adds their rows.

    Differential privacy replaces both, so that every step is private where it is taken.
    """

    def draw(self, shard: Shard, sample_rate: float, step: int, *, seed: int) -> Shard:
        """Records of one step."""
        ...

    def total(self, rows: Rows, unit_norm: float) -> np.ndarray:
        """Sum of the rows, whose norm is at most `unit_norm` where they are clipped."""
        ...


class PlainSteps:
    """The same shuffled batches under every technique, and plain sums."""

    def draw(self, shard: Shard, sample_rate: float, step: int, *, seed: int) -> Shard:
        """Return the `step`-th batch of the shuffled records."""
        return shard.take(batch(shard.rows, sample_rate, step, seed=(seed, shard.owner)))

    def total(self, rows: Rows, unit_norm: float) -> np.ndarray:
        """Return the plain sum."""
        return rows.total()


@dataclass(frozen=True)
class Shard:
    """What one owner holds: named arrays whose first axis is the owner's `rows` records.

    Attributes
    ----------
    steps
        What training at this owner draws batches and adds them with.
    public_rows
        Number of records that is public, where the owner's own steps are scaled by one: an
        audit takes records away without anybody being told. None for `rows`.
    """

    owner: str
    rows: int
    arrays: Mapping[str, np.ndarray]
    steps: LocalSteps = PlainSteps()  # noqa: RUF009
    public_rows: int | None = None

    @property
    def size(self) -> int:
        """Public number of records."""
        return self.rows if self.public_rows is None else self.public_rows

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def take(self, index: np.ndarray) -> Shard:
        """Return the records at `index`, as a shard of the same owner."""
        chosen = {name: values[index] for name, values in self.arrays.items()}
        return replace(self, rows=len(index), arrays=chosen)


@dataclass
class Owner:
    """A data owner at work: its records and its memory."""

    shard: Shard
    memory: Memory = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the party."""
        return self.shard.owner


def owner_names(count: int) -> list[str]:
    """Name `count` data owners."""
    return [f"owner-{k + 1}" for k in range(count)]
