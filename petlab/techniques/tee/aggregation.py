"""An enclave that adds contributions: what owners seal, nobody outside it can read."""

from __future__ import annotations

import itertools
import json
import secrets
from collections.abc import Sequence

import numpy as np

from petlab import wire
from petlab.aggregation import Aggregation, Bound, Opener
from petlab.meter import Meter
from petlab.party import ANALYST
from petlab.result import Guarantee
from petlab.summing import Summing
from petlab.techniques.tee.attestation import Manufacturer
from petlab.techniques.tee.channel import reading, seal
from petlab.techniques.tee.configuration import Configuration
from petlab.techniques.tee.deployment import Machine, Parties
from petlab.techniques.tee.enclave import CONTRIBUTION, TOTAL

OWNERS_KEY = "owners"
"""Owners of one federation sign contributions with one key that they share."""


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

    def protect(self, total: np.ndarray, bound: Bound) -> list[bytes]:
        """Seal a total for the enclave, signed and tagged, so that it counts once."""
        tag = np.frombuffer(secrets.token_bytes(16), np.uint8)
        payload = wire.pack({"total": bound.checked(total), "tag": tag})
        context = CONTRIBUTION.format(self._label)
        signer = self._parties.signer(OWNERS_KEY)
        return [seal(payload, reader=reading(self._key), context=context, sender=signer)]

    def add(self, holder: str, blobs: Sequence[bytes]) -> bytes:
        """Let the enclave add them."""
        body = wire.pack({str(k): np.frombuffer(b, np.uint8) for k, b in enumerate(blobs)})
        request = {"to": "enclave", "do": "add", "round": self._label}
        spent, total = self._machine.ask(request, body)
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
        self._parties = Parties([OWNERS_KEY], manufacturer)
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
            launched, _ = machine.ask({"to": "device", "do": "launch"}, body)
        host.meter.discount("setup", wall_s=launched["imported_s"])
        for party in (*(owner.name for owner in host.owners), ANALYST):
            with host.meter.phase("setup", party=party):
                self._key = self._parties.attested(policy, machine.ask)

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
                "What is opened to the analyst."
            ),
            adversary="host that may read, alter, replay and drop everything it relays",
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
