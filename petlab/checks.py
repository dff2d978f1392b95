"""What every session refuses, whatever technique carries it out."""

from __future__ import annotations

from typing import Any

import numpy as np

from petlab.errors import OutOfRange, PlanExceeded, ProtocolError, Unsupported, UsageError
from petlab.party import ANALYST, Owner
from petlab.protected import Protected, Source
from petlab.summing import Summing


class Checks(Summing):
    """Look parties up and hold a program to its plan, its bounds and its labels."""

    def _unguarded(self, operation: str) -> None:
        if self.release:
            raise Unsupported(f"{operation} opens a value whose sensitivity nobody declared.")

    def _spend(self, shape: tuple[int, ...]) -> None:
        if tuple(shape) not in {tuple(s) for s in self.plan.shapes.values()}:
            raise PlanExceeded(f"the plan names no released value of shape {tuple(shape)}.")
        if self._released >= self.plan.releases:
            raise PlanExceeded(f"the plan allows {self.plan.releases} releases, no more.")
        self._released += 1

    def _reader(self, to: str) -> str:
        return self.place if to == ANALYST else to

    def _owner(self, name: str) -> Owner:
        for owner in self.owners:
            if owner.name == name:
                return owner
        raise UsageError(f"no party {name!r} holds data in this study.")

    def _lookup(self, party: str, source: Source) -> np.ndarray:
        shard = self._owner(party).shard
        return np.asarray(shard[source] if isinstance(source, str) else source(shard))

    def _checked_values(self, values: np.ndarray) -> np.ndarray:
        if not np.all(np.isfinite(values)) or np.abs(values).max(initial=0) > self.plan.value_max:
            raise OutOfRange(f"a value exceeds the plan's bound of {self.plan.value_max:g}.")
        return values

    def _same_label(self, left: Protected, right: Any) -> None:
        if isinstance(right, Protected) and right.label != left.label:
            raise ProtocolError(f"arrays labelled {left.label!r} and {right.label!r} do not mix.")
