"""An enclave that adds contributions: what owners seal, nobody outside it can read."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence

import numpy as np

from petlab.core.aggregation import Aggregation, Bound, Opener
from petlab.core.claims import Guarantee
from petlab.core.party import ANALYST
from petlab.core.summing import Summing
from petlab.metering import wire
from petlab.metering.meter import Meter
from petlab.techniques.tee.attestation import Manufacturer
from petlab.techniques.tee.channel import reading, seal
from petlab.techniques.tee.configuration import Configuration
from petlab.techniques.tee.deployment import Machine, Parties
from petlab.techniques.tee.enclave import CONTRIBUTION, TOTAL
from petlab.techniques.tee.side_by_side import SideBySide


class SealedSums:
    """Aggregation in which the enclave's host relays what it cannot open.

    Parameters
    ----------
    holder
        Whose machine the enclave runs on.
    label
        Of this round: its messages open in no other.
    key
        Of the attested enclave.
    meter
        Booked with what the enclave spends.
    """

    def __init__(
        self,
        machine: Machine,
        parties: Parties,
        *,
        holder: str,
        label: str,
        key: bytes,
        meter: Meter,
    ) -> None:
        self.holders = (holder,)
        self._meter = meter
        self._machine, self._parties = machine, parties
        self._label, self._key = label, key

    def grid(self, bound: Bound) -> float:
        """Return 0: values travel as they are."""
        return 0.0

    def protect(self, total: np.ndarray, bound: Bound, *, sender: str = "") -> list[bytes]:
        """Seal a total for the enclave, signed by its owner: it counts once, in this round."""
        payload = wire.pack({"total": bound.checked(total)})
        context = CONTRIBUTION.format(self._label, sender)
        signer = self._parties.signer(sender)
        return [seal(payload, reader=reading(self._key), context=context, sender=signer)]

    def add(self, holder: str, blobs: Sequence[bytes]) -> bytes:
        """Let the enclave add what all owners sent, in their order."""
        names = [*self._parties.owners, *(f"another {k}" for k in range(len(blobs)))]
        sent = {n: np.frombuffer(b, np.uint8) for n, b in zip(names, blobs, strict=False)}
        request = {"to": "enclave", "do": "add", "round": self._label}
        spent, total = self._machine.ask(request, wire.pack(sent))
        self._meter.add("compute", cpu_s=spent["cpu_s"])
        return total

    def open(self, blobs: Sequence[bytes], bound: Bound, *, owners: int) -> np.ndarray:
        """Open the sum over `owners` contributions, at the analyst."""
        context = TOTAL.format(self._label, owners)
        opened = self._parties.unsealed(blobs[0], context, self._key)
        return wire.unpack(opened)["total"]


class AttestedSums:
    """An aggregating enclave at work in another technique's session.

    Parameters
    ----------
    host
        The session whose contributions are added.
    machine, manufacturer
        Where the enclave runs, and who made its device.
    """

    def __init__(self, host: Summing, machine: Machine, manufacturer: Manufacturer) -> None:
        self._host, self._machine = host, machine
        names = [owner.name for owner in host.owners]
        self._parties = Parties(names, manufacturer)
        self._rounds = itertools.count(1)
        self._current = ""
        agreed = Configuration(
            program="",
            settings=("", {}),
            public={},
            seed=0,
            release=None,
            analyst=self._parties.analyst,
            owners=self._parties.owners,
        )
        policy = self._parties.policy(agreed)
        with host.meter.phase("setup", party=host.aggregator, waits=True):
            body = json.dumps(agreed.to_json()).encode()
            host.transcript.take(
                host.transcript.post(ANALYST, host.aggregator, "configuration", len(body))
            )
            launched, _ = machine.ask({"to": "device", "do": "launch"}, body)
        host.meter.discount("setup", wall_s=launched["imported_s"])
        together = SideBySide(host.transcript, host.aggregator, machine.ask)
        for party in (*names, ANALYST):
            with host.meter.phase("setup", party=party):
                self._key = self._parties.attested(policy, together.of(party))
        together.post()

    def aggregation(self, *readers: str, terms: int) -> Aggregation:
        """Return sums of one round, added in the enclave."""
        self._current = str(next(self._rounds))
        return self._sums()

    def opener(self, *readers: str, terms: int) -> Opener:
        """Return what opens the sum of the round, at the analyst."""
        return self._sums()

    def guarantee(self) -> Guarantee:
        """State who sees contributions: the enclave."""
        return Guarantee(
            kind="hardware",
            protects="Contributions, against whoever runs the aggregator, an attested enclave.",
            not_protected=(
                "A simulation: the kernel and its administrator can read the enclave's memory. "
                "What is opened to the analyst: a sum over every owner of the measured "
                "configuration, each once, or nothing."
            ),
            adversary="host that may read, alter, replay and drop every sealed message",
            trusted=("chip maker", "enclave"),
            security_bits=128,
            mechanism="simulated attestation (Ed25519), HPKE (X25519, AES-256-GCM)",
        )

    def close(self) -> None:
        """End the machine."""
        self._machine.close()

    def _sums(self) -> SealedSums:
        return SealedSums(
            self._machine,
            self._parties,
            holder=self._host.aggregator,
            label=self._current,
            key=self._key,
            meter=self._host.meter,
        )
