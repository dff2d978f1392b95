"""The waist: the operations a program may call, metered and checked in one place.

Public methods validate, meter and keep to the plan; techniques override the hooks with a
leading underscore, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from petlab.core.arrays import Arrays, Held
from petlab.core.claims import Guarantee
from petlab.core.contribution import Contribution, Total
from petlab.core.ops import Gap, Op, not_yet
from petlab.core.party import Memory, Shard
from petlab.core.summing import Opening, SumRequest
from petlab.errors import OutOfRange, ProtocolError, UsageError

__all__ = ["Into", "Opening", "Session", "SumRequest"]

Into = Literal["none", "add", "replace"]


class Session(Arrays):
    """Operations over the owners' records, under one technique's protection.

    Parameters
    ----------
    opening
        Owners, plan, seed and output guard.
    """

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening)
        with self.meter.phase("setup", party=self.place):
            self._set_up()

    @property
    def noisy(self) -> bool:
        """Whether an output guard adds noise to totals: public, so that programs may adapt."""
        return self.release is not None

    def require(self, operations: Iterable[Op]) -> None:
        """Refuse a program whose operations are not all offered, before it does anything.

        Raises
        ------
        Unsupported
            With the gap's kind and reason.
        """
        for operation in sorted(operations):
            hook = getattr(self, operation.value)
            if isinstance(hook, Gap):
                hook()

    def sum(
        self,
        contribution: Contribution,
        state: Mapping[str, Any] | None = None,
        *,
        to: str,
        step: int | None = None,
    ) -> Total:
        """Add what every owner contributes and open the total to one reader.

        Parameters
        ----------
        contribution
            What each owner computes from the state, its shard and its memory.
        state
            Public arrays that travel to the owners first (a model broadcast).
        to
            The party that reads the total.
        step
            Draw the `step`-th batch at the plan's sample rate; None means all records.

        Raises
        ------
        PlanExceeded
            More releases than planned, or a shape that the plan does not name.
        OutOfRange
            A contribution is larger than its declared bounds.
        """
        self._spend(contribution.shape)
        arrays = {name: np.asarray(value) for name, value in (state or {}).items()}
        request = SumRequest(contribution, arrays, self._reader(to), step)
        total = self._sum(request)
        if not np.all(np.isfinite(total.value)):
            raise OutOfRange("a total is not finite: lower the learning rate or check ranges.")
        return total

    def hold(
        self,
        value: Any,
        *,
        at: str,
        readers: Sequence[str],
        coordinate_max: float,
        terms_max: int,
    ) -> Held:
        """Make a protected accumulator whose holder cannot read it.

        Parameters
        ----------
        value
            Public initial value.
        at
            The party that stores it and adds to it.
        readers
            The parties that can open it.
        coordinate_max
            Public bound on the magnitude of each value that is put in.
        terms_max
            Of how many values it may become the sum.
        """
        if at in readers:
            raise UsageError(f"{at} cannot hold what it may read: name another holder.")
        values = np.asarray(value, float)
        return self._hold(values, at, tuple(readers), coordinate_max, terms_max)

    def call(
        self,
        fn: Callable[[dict[str, np.ndarray], Shard, Memory], np.ndarray],
        *,
        at: str,
        inputs: Mapping[str, Any],
        to: str | Held,
        into: Into = "none",
    ) -> np.ndarray | None:
        """Run one party's step with its shard and memory, and send the result on.

        Parameters
        ----------
        fn
            Module-level function `(inputs, shard, memory) -> array`.
        at
            The party that runs it.
        inputs
            Public arrays, or accumulators that `at` may read.
        to
            A party, or an accumulator.
        into
            "add" or "replace" what the accumulator holds; "none" when `to` is a party.

        Returns
        -------
        The array when `to` is a party, else None.
        """
        self._unguarded("call")
        if (into == "none") == isinstance(to, Held):
            raise UsageError("call(): into='add' or 'replace' goes with an accumulator only.")
        for name, value in inputs.items():
            if isinstance(value, Held) and at not in value.readers:
                raise ProtocolError(f"{at} may not read input {name!r}.")
        return self._call(fn, self._owner(at), dict(inputs), to, into)

    def guarantee(self) -> Guarantee:
        """State what was protected against whom, from what actually ran."""
        inputs = self._guarantee()
        return (
            self.release.guarantee(inputs, aggregator=self.aggregator) if self.release else inputs
        )

    def _set_up(self) -> None:
        """Make keys and whatever else does not depend on data."""

    _hold: Any = not_yet("this technique has no protected accumulators")
    _call: Any = not_yet("this technique has no calls at single parties")

    def _guarantee(self) -> Guarantee:
        raise NotImplementedError
