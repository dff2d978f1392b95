"""Who takes part: the names of roles, and what a data owner holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

ANALYST = "analyst"
"""Asks the question and reads what is revealed."""
SERVER = "server"
"""Computes on protected values (compute server) or adds contributions (aggregator)."""
CURATOR = "curator"
"""Trusted with everybody's raw records under central differential privacy."""

Memory = dict[str, np.ndarray]
"""Named values that an owner keeps from round to round and never sends."""


@dataclass(frozen=True)
class Shard:
    """What one owner holds: named arrays whose first axis is the owner's `rows` records."""

    owner: str
    rows: int
    arrays: Mapping[str, np.ndarray]

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def take(self, index: np.ndarray) -> Shard:
        """Return the records at `index`, as a shard of the same owner."""
        chosen = {name: values[index] for name, values in self.arrays.items()}
        return Shard(self.owner, len(index), chosen)


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
