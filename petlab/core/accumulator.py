"""Accumulators and single-party steps, on top of a technique's own aggregation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from petlab.core.aggregation import Aggregation, Bound
from petlab.core.arrays import Held
from petlab.core.party import Owner
from petlab.core.session import Into, Session
from petlab.errors import PlanExceeded
from petlab.metering import wire


class Accumulators(Session):
    """Gives a session `hold` and `call`, by protecting and adding as its sums do.

    The holders store what `Aggregation.protect` made and add to it; only the readers of an
    accumulator can open it. A single holder is whom the program names; where the
    aggregation spreads values over several, these are the holders.
    """

    def _hold(
        self,
        value: np.ndarray,
        at: str,
        readers: tuple[str, ...],
        coordinate_max: float,
        terms_max: int,
    ) -> Held:
        held = Held([], at, readers, value.shape, coordinate_max, terms_max)
        self._write(held, self.place, value, "replace")
        return held

    def _call(
        self, fn: Any, owner: Owner, inputs: dict[str, Any], to: str | Held, into: Into
    ) -> np.ndarray | None:
        public = {k: np.asarray(v) for k, v in inputs.items() if not isinstance(v, Held)}
        message = self.send(self.place, owner.name, "call", wire.pack(public))
        arrays = wire.unpack(message)
        for name, held in inputs.items():
            if isinstance(held, Held):
                arrays[name] = self._read(held, owner.name)
        with self.meter.phase("compute", party=owner.name):
            value = np.asarray(fn(arrays, owner.shard, owner.memory), float)
        if isinstance(to, Held):
            self._write(to, owner.name, value, into)
            return None
        message = self.send(owner.name, to, "result", wire.pack({"value": value}))
        return wire.unpack(message)["value"]

    def _read(self, held: Held, reader: str) -> np.ndarray:
        blobs = [self.send(h, reader, "accumulator", blob) for h, blob in self._stored(held)]
        with self.meter.phase("reveal", party=reader):
            bound = Bound(held.coordinate_max)
            opener = self._opener(*held.readers, terms=held.terms_max)
            value = opener.open(blobs, bound, owners=held.terms)
        return value.reshape(held.shape)

    def _write(self, held: Held, sender: str, value: np.ndarray, into: Into) -> None:
        if into == "add" and held.terms >= held.terms_max:
            raise PlanExceeded(f"an accumulator takes {held.terms_max} terms, no more.")
        vault = self._vault(held)
        with self.meter.phase("protect", party=sender):
            made = vault.protect(value.ravel(), Bound(held.coordinate_max), sender=sender)
        pairs = zip(self._holders(held), made, strict=True)
        blobs = [self.send(sender, holder, "update", blob) for holder, blob in pairs]
        if into == "replace":
            held.handle, held.terms = blobs, 1
            return
        for k, (holder, stored) in enumerate(self._stored(held)):
            with self.meter.phase("compute", party=holder):
                blobs[k] = vault.add(holder, [stored, blobs[k]])
        held.handle, held.terms = blobs, held.terms + 1

    def _stored(self, held: Held) -> Iterator[tuple[str, bytes]]:
        """Pair every holder with what it stores."""
        return zip(self._holders(held), held.handle, strict=True)

    def _holders(self, held: Held) -> tuple[str, ...]:
        spread = self._vault(held).holders
        return spread if len(spread) > 1 else (held.at,)

    def _vault(self, held: Held) -> Aggregation:
        return self._aggregation(*held.readers, terms=held.terms_max)
