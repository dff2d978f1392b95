"""How a sum is carried out: state out, contributions in, one total opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from petlab.core.aggregation import Aggregation, Bound, Lender, Opener
from petlab.core.contribution import Contribution, Noise, State, Total
from petlab.core.party import AGGREGATOR, ANALYST, OWNERS, SERVER, Owner, Shard
from petlab.core.plan import Plan
from petlab.core.release import Release
from petlab.core.rows import OwnerTotal, Rows
from petlab.errors import DataError, PlanExceeded, ProtocolError, Unsupported, UsageError
from petlab.metering import wire
from petlab.metering.meter import Meter
from petlab.metering.transcript import Transcript


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
    lend
        Makes another technique's aggregations for the session that is opened, or None.
    """

    shards: Sequence[Shard]
    plan: Plan
    seed: int = 0
    release: Release | None = None
    record: bool = False
    lend: Callable[[Summing], Lender] | None = None


@dataclass(frozen=True)
class SumRequest:
    """One call of `Session.sum`, after validation."""

    contribution: Contribution
    state: State
    reader: str
    step: int | None


@dataclass(frozen=True)
class Protection:
    """How the contributions to one sum are protected on their way.

    Attributes
    ----------
    bound
        Public bound on every coordinate of an owner's total.
    grid
        Step to which the aggregation rounds; 0 for none.
    """

    aggregation: Aggregation
    bound: Bound
    grid: float


class Summing:
    """The part of a session that adds contributions; techniques override its hooks.

    Parameters
    ----------
    opening
        Owners, plan, seed and output guard.
    """

    place = ANALYST
    """The party at which the program runs."""
    aggregator = SERVER
    """The party that adds protected contributions, where one party does."""
    shows_contributions = False
    """Somebody reads single contributions, and has not got the records anyway."""

    def __init__(self, opening: Opening) -> None:
        self.plan, self.seed, self.release = opening.plan, opening.seed, opening.release
        self.owners = [Owner(shard) for shard in opening.shards]
        self.transcript = Transcript(record=opening.record)
        self.meter = Meter(self.transcript, party=self.place)
        self.plain_bytes = 0
        self.elsewhere_mib = 0.0
        """Peak memory of processes that the session runs elsewhere, together."""
        self._released = 0

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

    def _rows(self, owner: Owner, request: SumRequest, state: State) -> Rows:
        contribution, shard = request.contribution, owner.shard
        if self._is_read(owner) and shard.rows < contribution.min_units:
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

    def _is_read(self, owner: Owner) -> bool:
        """Whether somebody reads this owner's contribution as it is."""
        if len(self.owners) == 1:
            return self.release is None
        hidden = self.release is not None and self.release.place == OWNERS
        return self.shows_contributions and not hidden

    def _sample(self, shard: Shard, step: int) -> Shard:
        if self.release:
            return self.release.draw(shard, self.plan.sample_rate)
        return shard.steps.draw(shard, self.plan.sample_rate, step, seed=self.seed)

    def _aggregation(self, *readers: str, terms: int) -> Aggregation:
        """Return the way `terms` values are protected and added on their way to readers."""
        raise NotImplementedError

    def _opener(self, *readers: str, terms: int) -> Opener:
        """Return what the readers open such a sum with: the only place for secret keys."""
        raise NotImplementedError

    def close(self) -> None:
        """Release what the session holds outside of this process; at the end of every run."""

    def _sum(self, request: SumRequest) -> Total:
        """Owners protect, the holders add, the reader opens."""
        contribution, count = request.contribution, len(self.owners)
        helps = self.release is not None and self.release.place == AGGREGATOR
        aggregation = self._aggregation(request.reader, terms=count + helps)
        bound = self._bound(contribution, aggregation)
        protection = Protection(aggregation, bound, aggregation.grid(bound))
        messages = self._collect(request, protection)
        if helps:
            messages.append(self._noise_message(contribution, protection))
        received = []
        for holder, sent in zip(aggregation.holders, zip(*messages, strict=True), strict=True):
            with self.meter.phase("compute", party=holder):
                combined = aggregation.add(holder, sent)
            received.append(self.send(holder, request.reader, "total", combined))
        with self.meter.phase("reveal", party=request.reader):
            opener = self._opener(request.reader, terms=count + helps)
            value = opener.open(received, bound, owners=len(messages))
        value = value.reshape(contribution.shape)
        return Total(value, owners=count, noise=self._account(contribution, protection.grid))

    def _bound(self, contribution: Contribution, aggregation: Aggregation) -> Bound:
        """Bound what one party protects: a total, and the noise that is added before."""
        bound = contribution.bound(self.plan.public.records_max)
        if self.release is None or self.release.place not in (OWNERS, AGGREGATOR):
            return bound
        grid = aggregation.grid(replace(bound, integer=False))
        noise = self.release.headroom(contribution, owners=self._noise_sources, grid=grid)
        # The grid of the wider bound is coarser by a step or two, and the noise a little larger.
        whole = bound.integer and not self.release.fractional
        return replace(bound, limit=bound.limit + 2 * noise, integer=whole)

    def _collect(self, request: SumRequest, protection: Protection) -> list[list[bytes]]:
        """Carry the state to the owners and their contributions to the holders.

        Returns
        -------
        For every owner one message of each holder, in order, as that holder received it.
        """
        state, messages = wire.pack(request.state), []
        states = [self.send(self.place, owner.name, "state", state) for owner in self.owners]
        for owner, arrived in zip(self.owners, states, strict=True):
            with self.meter.phase("compute", party=owner.name):
                blobs = self._protected(owner, request, wire.unpack(arrived), protection)
            pairs = zip(protection.aggregation.holders, blobs, strict=True)
            messages.append([self.send(owner.name, h, "contribution", blob) for h, blob in pairs])
        return messages

    def _protected(
        self, owner: Owner, request: SumRequest, state: State, protection: Protection
    ) -> list[bytes]:
        """Compute one owner's total and protect it: one message for each holder."""
        total = self.contribute(owner, request, state)
        self.plain_bytes += total.nbytes
        with self.meter.phase("protect", party=owner.name):
            total = self._noisy_at(OWNERS, total, request.contribution, protection.grid)
            return protection.aggregation.protect(total, protection.bound, sender=owner.name)

    def _noise_message(self, contribution: Contribution, protection: Protection) -> list[bytes]:
        """Protect the aggregator's noise like one more contribution."""
        maker = self._noise_maker(protection.aggregation)
        with self.meter.phase("compute", party=maker):
            noise = np.zeros(contribution.size)
            noise = self._noisy_at(AGGREGATOR, noise, contribution, protection.grid)
            blobs = protection.aggregation.protect(noise, protection.bound, sender=maker)
        pairs = zip(protection.aggregation.holders, blobs, strict=True)
        return [self.send(maker, holder, "noise", blob) for holder, blob in pairs]

    def _noise_maker(self, aggregation: Aggregation) -> str:
        """Return who makes the aggregator's noise, and alone knows it.

        Among several holders the first sends the others their shares of it: made jointly,
        nobody would know it, which no aggregation here offers.
        """
        return aggregation.holders[0]

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
