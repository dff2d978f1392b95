"""The session inside the enclave: all records in one place, which is no place of the host's."""

from __future__ import annotations

from typing import Any

from petlab.core.claims import Guarantee
from petlab.core.party import ENCLAVE
from petlab.core.plain import PooledSession


class EnclaveSession(PooledSession):
    """Runs a program beside the records; nothing between its operations leaves the process."""

    place = ENCLAVE
    aggregator = ENCLAVE
    isolation: Any = None

    @property
    def pool(self) -> str:
        """The party that holds all raw records."""
        return ENCLAVE

    def send(self, sender: str, receiver: str, label: str, payload: bytes) -> bytes:
        """Hand a value on inside the enclave: nothing is on any wire."""
        return payload

    def _guarantee(self) -> Guarantee:
        held = ", ".join(name for name, holds in (self.isolation or {}).items() if holds)
        return Guarantee(
            kind="hardware",
            protects=(
                "Records, and everything computed on the way, against the host: in this "
                "simulation by a separate process, in real hardware by the processor."
            ),
            not_protected=(
                "A simulation: the kernel and its administrator can read the process' memory. "
                "Real enclaves leak through side channels such as memory access patterns. What "
                "the analyst reads."
            ),
            adversary="host that may read, alter, replay and drop everything it relays",
            trusted=("chip maker", ENCLAVE),
            security_bits=128,
            mechanism=(
                "simulated attestation (Ed25519), HPKE (X25519, AES-256-GCM)"
                + (f"; process: {held}" if held else "")
            ),
        )
