"""The waist: the operations a program may call, metered and checked in one place.

Public methods validate, meter and keep to the plan; techniques override the hooks with a
leading underscore, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from petlab.contribution import Contribution, Total
from petlab.errors import OutOfRange, PlanExceeded, ProtocolError, Unsupported, UsageError
from petlab.ops import not_yet
from petlab.party import ANALYST, Memory, Owner, Shard
from petlab.protected import Held, Layout, Local, Protected, Source
from petlab.result import Guarantee
from petlab.summing import Opening, Summing, SumRequest

__all__ = ["Into", "Opening", "Session", "SumRequest"]

Into = Literal["none", "add", "replace"]


class Session(Summing):
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

    def share(
        self, source: Source, *, owner: str, label: str = "", layout: Layout = "slots"
    ) -> Protected:
        """Protect an array of one owner for computing by others.

        Parameters
        ----------
        source
            Name of the array in the owner's shard, or a function of the shard.
        owner
            The party that holds it.
        label
            Arrays of different labels refuse to mix.
        layout
            Which axis lies along a ciphertext's slots.
        """
        values = self._checked_values(self._lookup(owner, source))
        return self._share(values, owner, label, layout)

    def local(self, source: Source, *, at: str) -> Local:
        """Refer to a plaintext array of one party as an operand that never leaves it."""
        self._owner(at)
        return Local(at, source)

    def add(self, left: Protected, right: Protected | Local | np.ndarray) -> Protected:
        """Add an operand (public, local or protected) to a protected array."""
        self._same_label(left, right)
        return self._add(left, right)

    def multiply(self, left: Protected, right: Protected) -> Protected:
        """Multiply protected arrays entry by entry."""
        self._same_label(left, right)
        return self._multiply(left, right)

    def matmul(self, left: Protected, right: Protected | Local | np.ndarray) -> Protected:
        """Matrix product of a protected array (m, n) and an operand (n, k)."""
        self._same_label(left, right)
        if isinstance(right, Protected):
            return self._matmul(left, right)
        return self._plain_matmul(left, right)

    def square(self, value: Protected) -> Protected:
        """Square a protected array entry by entry."""
        return self._square(value)

    def reveal(self, value: Protected, *, to: str) -> np.ndarray:
        """Open a protected array to one reader, who is planned to see it."""
        self._unguarded("reveal")
        self._spend(value.shape)
        return self._reveal(value, self._reader(to))

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
        return self.release.guarantee(inputs) if self.release else inputs

    def _set_up(self) -> None:
        """Make keys and whatever else does not depend on data."""

    _share: Any = not_yet("this technique has no protected arrays")
    _add: Any = not_yet("this technique does not add protected arrays")
    _multiply: Any = not_yet("this technique does not multiply protected arrays")
    _matmul: Any = not_yet("this technique has no product of two protected matrices")
    _plain_matmul: Any = not_yet("this technique has no product with a plain matrix")
    _square: Any = not_yet("this technique does not square protected arrays")
    _reveal: Any = not_yet("this technique has nothing protected to reveal")
    _hold: Any = not_yet("this technique has no protected accumulators")
    _call: Any = not_yet("this technique has no calls at single parties")

    def _guarantee(self) -> Guarantee:
        raise NotImplementedError

    # Checks.

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
