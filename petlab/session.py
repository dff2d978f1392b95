"""The waist: the operations a program may call, metered and checked in one place.

Public methods validate, meter and keep to the plan; techniques override the hooks with a
leading underscore, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from petlab import wire
from petlab.aggregation import Aggregation
from petlab.contribution import Contribution, Noise, State, Total
from petlab.errors import DataError, OutOfRange, PlanExceeded, ProtocolError, UsageError
from petlab.meter import Meter
from petlab.ops import not_yet
from petlab.party import AGGREGATOR, ANALYST, OWNERS, SERVER, Memory, Owner, Shard
from petlab.plan import Plan
from petlab.protected import Held, Layout, Local, Protected, Source
from petlab.release import Release
from petlab.result import Guarantee
from petlab.rows import OwnerTotal, Rows
from petlab.transcript import Transcript

Into = Literal["none", "add", "replace"]


@dataclass(frozen=True)
class Opening:
    """What a technique gets to open a session with.

    Attributes
    ----------
    seed
        Steers batches and initial models only, never keys, shares or noise.
    release
        What guards the outputs (differential privacy), or None.
    record
        Keep message payloads in the transcript.
    """

    shards: Sequence[Shard]
    plan: Plan
    seed: int = 0
    release: Release | None = None
    record: bool = False


@dataclass(frozen=True)
class SumRequest:
    """One call of `Session.sum`, after validation."""

    contribution: Contribution
    state: State
    reader: str
    step: int | None


class Session:
    """Operations over the owners' records, under one technique's protection.

    Parameters
    ----------
    opening
        Owners, plan, seed and output guard.
    """

    place = ANALYST
    """The party at which the program runs."""
    aggregator = SERVER
    """The party that adds protected contributions."""

    def __init__(self, opening: Opening) -> None:
        self.plan, self.seed, self.release = opening.plan, opening.seed, opening.release
        self.owners = [Owner(shard) for shard in opening.shards]
        self.transcript = Transcript(record=opening.record)
        self.meter = Meter(self.transcript, party=self.place)
        self.plain_bytes = 0
        self._released = 0
        with self.meter.phase("setup", party=self.place):
            self._set_up()

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

    # What every technique may rely on.

    def send(self, sender: str, receiver: str, label: str, payload: bytes) -> bytes:
        """Carry bytes between two parties; a message to oneself stays where it is."""
        if sender == receiver:
            return payload
        return self.transcript.send(sender, receiver, label, payload)

    def contribute(self, owner: Owner, request: SumRequest, state: State) -> np.ndarray:
        """Compute, clip and total one owner's rows; shape (size,)."""
        rows = self._rows(owner, request, state)
        if self.release:
            return self.release.clipped_total(rows, request.contribution)
        return rows.total()

    def _rows(self, owner: Owner, request: SumRequest, state: State) -> Rows:
        contribution, shard = request.contribution, owner.shard
        if shard.rows < contribution.min_units:
            raise DataError(
                f"{owner.name} has fewer than {contribution.min_units} records, so its "
                "contribution would show them. Merge it with another owner."
            )
        if request.step is not None:
            shard = self._sample(shard, request.step)
        if self.release:
            shard = replace(shard, steps=self.release.local_steps())
        rows = contribution.fn(state, shard, owner.memory)
        if rows.width != contribution.size:
            raise ProtocolError(
                f"{owner.name}: a row has {rows.width} numbers, declared {contribution.size}."
            )
        if isinstance(rows, OwnerTotal) != (contribution.unit == "owner"):
            raise ProtocolError(f"{owner.name}: rows are not per {contribution.unit}.")
        return rows

    def _sample(self, shard: Shard, step: int) -> Shard:
        if self.release:
            return self.release.draw(shard, self.plan.sample_rate)
        return shard.steps.draw(shard, self.plan.sample_rate, step, seed=self.seed)

    # Hooks.

    def _set_up(self) -> None:
        """Make keys and whatever else does not depend on data."""

    def _aggregation(self, *readers: str, terms: int) -> Aggregation:
        """Return the way `terms` values are protected, added, and opened by the readers."""
        raise NotImplementedError

    def _sum(self, request: SumRequest) -> Total:
        """Owners protect, the aggregator adds, the reader opens."""
        contribution, count = request.contribution, len(self.owners)
        helps = self.release is not None and self.release.place == AGGREGATOR
        aggregation = self._aggregation(request.reader, terms=count + helps)
        bound = contribution.bound(self.plan.public.records_max)
        grid = aggregation.grid(bound)
        state, blobs = wire.pack(request.state), []
        states = [self.send(self.place, owner.name, "state", state) for owner in self.owners]
        for owner, message in zip(self.owners, states, strict=True):
            with self.meter.phase("compute", party=owner.name):
                total = self.contribute(owner, request, wire.unpack(message))
            self.plain_bytes += total.nbytes
            with self.meter.phase("protect", party=owner.name):
                total = self._noisy_at(OWNERS, total, contribution, grid)
                blob = aggregation.protect(total, bound)
            blobs.append(self.send(owner.name, self.aggregator, "contribution", blob))
        with self.meter.phase("compute", party=self.aggregator):
            if helps:
                noise = self._noisy_at(AGGREGATOR, np.zeros(contribution.size), contribution, grid)
                blobs.append(aggregation.protect(noise, bound))
            combined = aggregation.add(blobs)
        message = self.send(self.aggregator, request.reader, "total", combined)
        with self.meter.phase("reveal", party=request.reader):
            value = aggregation.open(message, bound, owners=len(blobs))
        noise = self._account(contribution, grid)
        return Total(value.reshape(contribution.shape), owners=count, noise=noise)

    def _noisy_at(
        self, place: str, total: np.ndarray, contribution: Contribution, grid: float = 0.0
    ) -> np.ndarray:
        """Add the noise that is due at this place, if any is."""
        if self.release is None or self.release.place != place:
            return total
        return self.release.noisy(total, contribution, owners=self._noise_sources, grid=grid)

    def _account(self, contribution: Contribution, grid: float = 0.0) -> Noise | None:
        if self.release is None:
            return None
        return self.release.account(contribution, owners=self._noise_sources, grid=grid)

    @property
    def _noise_sources(self) -> int:
        return len(self.owners) if self.release and self.release.place == OWNERS else 1

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
