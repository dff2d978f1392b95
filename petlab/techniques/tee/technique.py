"""Trusted execution as a technique: attest, seal, run inside, open at the analyst."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from petlab.core.aggregation import Lender
from petlab.core.claims import Cost
from petlab.core.party import ANALYST, OWNERS
from petlab.core.release import Exposure
from petlab.core.session import Opening, Session
from petlab.core.summing import Summing
from petlab.core.task import Program
from petlab.core.technique import Run, Technique, costs_of, phases_of
from petlab.errors import ProtocolError
from petlab.techniques.tee.aggregation import AttestedSums
from petlab.techniques.tee.attestation import Manufacturer
from petlab.techniques.tee.configuration import ENTRY, EXPOSURE, START, Configuration, public_json
from petlab.techniques.tee.deployment import HOST, Machine, Parties
from petlab.techniques.tee.hardware import modelled_costs
from petlab.techniques.tee.measurement import sources
from petlab.techniques.tee.session import EnclaveSession
from petlab.techniques.tee.side_by_side import SideBySide


class TrustedExecution(Technique):
    """Run the whole program in a simulated enclave that owners attest before they send data."""

    name = "tee"
    title = "Trusted execution (simulated)"
    protects = "inputs, against the host, if the hardware is trusted (simulated)"
    packages = {"cryptography": "cryptography"}  # noqa: RUF012
    session = EnclaveSession
    exposure = EXPOSURE
    lent_exposure = Exposure(places=(OWNERS,), contributions=False)
    _waiting: tuple[Manufacturer, Machine] | None = None

    def warm_up(self) -> None:
        """Start host, device and enclave process, and wait until libraries are imported."""
        if self._waiting is None:
            manufacturer = Manufacturer()
            self._waiting = manufacturer, Machine(manufacturer)
            sources((START, ENTRY))  # for the owners, who measure too, while processes start
        self._waiting[1].wait()

    def open(self, opening: Opening) -> Session:
        """Refuse: a session out here would hold the records, and claim that an enclave does.

        Raises
        ------
        ProtocolError
            Always.
        """
        raise ProtocolError("an enclave's session opens inside it only: execute the program.")

    def execute(self, program: Program, opening: Opening) -> Run:
        """Launch an enclave for the program, let owners attest it, and run it there."""
        self.refuse_gaps(program)
        manufacturer, machine = self._taken()
        try:
            return Delivery(opening, machine, manufacturer).run(program)
        finally:
            machine.close()

    def lend(self, host: Summing) -> Lender:
        """Lend an enclave that adds contributions, which owners attest first."""
        manufacturer, machine = self._taken()
        return AttestedSums(host, machine, manufacturer)

    def _taken(self) -> tuple[Manufacturer, Machine]:
        self.warm_up()
        assert self._waiting is not None
        taken, self._waiting = self._waiting, None
        return taken


class Delivery(Summing):
    """One run as owners and analyst see it: messages to and from the host."""

    def __init__(self, opening: Opening, machine: Machine, manufacturer: Manufacturer) -> None:
        super().__init__(opening)
        self._machine = machine
        self._crossings = 0
        self._parties = Parties([owner.name for owner in self.owners], manufacturer)

    def run(self, program: Program) -> Run:
        """Launch, attest, provision, run, open."""
        agreed = self._agreed(program)
        with self.meter.phase("setup", party=HOST, waits=True):
            policy = self._parties.policy(agreed)
            body = json.dumps(agreed.to_json()).encode()
            self._carried(ANALYST, "configuration", body)
            launched, _ = self._machine.ask({"to": "device", "do": "launch"}, body)
        self.meter.discount("setup", wall_s=launched["imported_s"])
        together = SideBySide(self.transcript, HOST, self._machine.ask)
        keys = {}
        for party in (ANALYST, *(owner.name for owner in self.owners)):
            with self.meter.phase("setup", party=party):
                keys[party] = self._parties.attested(policy, together.of(party))
        self.meter.mark()
        self._crossings += 2 * together.post()
        self._provision(keys)
        with self.meter.phase("compute", party=HOST):
            spent, message = self._machine.ask({"to": "enclave", "do": "run"})
        self.meter.add("compute", cpu_s=spent["cpu_s"])
        self.elsewhere_mib = spent["peak_mib"] or 0.0
        self.transcript.take(self.transcript.post(HOST, ANALYST, "sealed answer", len(message)))
        with self.meter.phase("reveal", party=ANALYST):
            answer, guarantee = self._parties.opened(message, keys[ANALYST])
        self.meter.mark()
        return Run(
            answer=answer,
            costs={**costs_of(self), **self._modelled(spent)},
            phases=phases_of(self),
            guarantee=guarantee,
            views=self.transcript.summary(),
            transcript=self.transcript,
        )

    def _modelled(self, spent: dict[str, Any]) -> dict[str, Cost]:
        """What real hardware would add, by published figures."""
        peak = spent["peak_mib"]
        return modelled_costs(
            spent["wall_s"], None if peak is None else int(peak * 2**20), self._crossings
        )

    def _agreed(self, program: Program) -> Configuration:
        plan = self.plan
        kind = type(plan.settings)
        return Configuration(
            program=program.qualified_name,
            settings=(f"{kind.__module__}:{kind.__qualname__}", asdict(plan.settings)),
            public=public_json(plan.public),
            seed=self.seed,
            release=self.release.recipe if self.release else None,
            analyst=self._parties.analyst,
            owners=self._parties.owners,
        )

    def _provision(self, keys: dict[str, bytes]) -> None:
        """Let every owner seal its records for the enclave that it attested, side by side."""
        posted = []
        for owner in self.owners:
            arrays = dict(owner.shard.arrays)
            self.plain_bytes += sum(v.nbytes for v in arrays.values())
            with self.meter.phase("protect", party=owner.name):
                sealed = self._parties.sealed(
                    owner.name, owner.shard.rows, arrays, keys[owner.name]
                )
            posted.append(self.transcript.post(owner.name, HOST, "sealed records", len(sealed)))
            self._crossings += 2
            self._machine.ask({"to": "enclave", "do": "provision", "owner": owner.name}, sealed)
        for message in posted:
            self.transcript.take(message)

    def _carried(self, sender: str, label: str, payload: bytes) -> None:
        self.meter.mark()
        self._crossings += 2  # the request goes in, its answer comes out
        self.transcript.take(self.transcript.post(sender, HOST, label, len(payload)))
