"""The enclave: the one process that sees records, and only after it was attested.

Its entry point is fixed, its configuration comes from the device that measured it, its keys are
made inside and die with it. It never sends anything but its public key, sealed storage, and
the answer, which only the analyst can open.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import time
from dataclasses import asdict
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from petlab.core.party import Shard
from petlab.core.session import Opening
from petlab.errors import PetlabError, ProtocolError
from petlab.metering import wire
from petlab.metering.meter import PeakMemory
from petlab.techniques.tee import errors
from petlab.techniques.tee.attestation import digest
from petlab.techniques.tee.channel import seal, unseal
from petlab.techniques.tee.configuration import Configuration
from petlab.techniques.tee.errors import IncompleteSum, RefusedRequest, Replayed, UnknownSender
from petlab.techniques.tee.frames import Channel
from petlab.techniques.tee.isolation import confine
from petlab.techniques.tee.measurement import libraries
from petlab.techniques.tee.sealing import open_state, seal_state
from petlab.techniques.tee.session import EnclaveSession

PRELOADED = ("scipy.stats", "torch")
"""Libraries that programs import when they run."""
RECORDS, ANSWER = "records of {}", "answer"
CONTRIBUTION, TOTAL = "contribution to round {} of {}", "total of round {} over {}"
"""What messages are for: they open as nothing else."""


class Enclave:
    """A launched enclave.

    Parameters
    ----------
    configuration
        As it was measured.
    sealing_key, count
        From the device: key of the storage, and how often it was sealed so far.
    device
        Channel on which the device counts sealings.
    """

    def __init__(
        self, configuration: Configuration, sealing_key: bytes, count: int, device: Channel
    ) -> None:
        self._configuration, self._device = configuration, device
        self._storage_key, self._count = sealing_key, count
        self._key, self._signer = X25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        self._shards: dict[str, Shard] = {}
        self._stored: dict[str, bytes] = {}
        self._rounds: set[str] = set()
        self._spent = False
        self.isolation: dict[str, bool] = {}

    @property
    def public_key(self) -> bytes:
        """Key under which owners seal their records, then the one that answers are signed with."""
        ours = self._signer.public_key().public_bytes_raw()
        return self._key.public_key().public_bytes_raw() + ours

    def answered(self, request: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """Obey one request of the host."""
        step = getattr(self, f"_do_{request.get('do')}", None)
        if step is None:
            raise RefusedRequest(f"the enclave knows no request {request.get('do')!r}.")
        return step(request, body)

    def _do_key(self, request: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        return {}, self.public_key

    def _do_provision(self, request: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        owner = request["owner"]
        if owner not in self._configuration.owners:
            raise UnknownSender(f"{owner!r} is no owner of this study.")
        if owner in self._shards:
            raise Replayed(f"{owner} has sent its records already.")
        sender = bytes.fromhex(self._configuration.owners[owner])
        payload = unseal(body, key=self._key, context=RECORDS.format(owner), sender=sender)
        self._keep(owner, payload)
        return {}, self._sealed()

    def _do_restore(self, request: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """Take back what an earlier life of the same enclave stored with the host."""
        state = open_state(body, key=self._storage_key, count=self._count)
        for name, packed in wire.unpack(state).items():
            self._keep(name, packed.tobytes())
        return {"owners": sorted(self._shards)}, b""

    def _do_run(self, request: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        missing = self._configuration.owners.keys() - self._shards.keys()
        if missing:
            raise RefusedRequest(f"{', '.join(sorted(missing))} has sent no records.")
        self._spend()
        memory = PeakMemory()
        begun = time.perf_counter(), time.process_time()
        answer = self._run()
        spent = {
            "wall_s": time.perf_counter() - begun[0],
            "cpu_s": time.process_time() - begun[1],
            "peak_mib": memory.mib,
        }
        return spent, self._for_analyst(answer, ANSWER)

    def _do_add(self, request: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """Add sealed contributions of one round, for an enclave that aggregates.

        Every owner of the measured configuration is in the sum, once: a host that chooses whom
        to add would choose one, and have the analyst read that owner's contribution.
        """
        label, begun = str(request["round"]), time.process_time()
        if label in self._rounds:
            raise Replayed(f"round {label} was added already: its sum is out.")
        sent, owners = wire.unpack(body), self._configuration.owners
        if set(sent) != set(owners):
            raise IncompleteSum(f"round {label}: a sum is of all {len(owners)} owners, each once.")
        parts = []
        for owner, key in owners.items():
            opened = unseal(
                sent[owner].tobytes(),
                key=self._key,
                context=CONTRIBUTION.format(label, owner),
                sender=bytes.fromhex(key),
            )
            parts.append(wire.unpack(opened)["total"])
        self._rounds.add(label)
        total = wire.pack({"total": np.sum(parts, axis=0)})
        sealed = self._for_analyst(total, TOTAL.format(label, len(parts)))
        return {"cpu_s": time.process_time() - begun}, sealed

    def _run(self) -> bytes:
        configuration = self._configuration
        plan = configuration.plan()
        shards = [self._shards[name] for name in configuration.owners]
        opening = Opening(shards, plan, seed=configuration.seed, release=configuration.guard(plan))
        session = EnclaveSession(opening)
        session.isolation = self.isolation
        answer = configuration.resolved()(session, plan)
        guarantee = asdict(session.guarantee())
        notes = {"notes": list(answer.notes), "guarantee": guarantee}
        arrays = {f"answer/{name}": np.asarray(v) for name, v in answer.values.items()}
        return wire.pack({"notes": _text(notes), **arrays})

    def _spend(self) -> None:
        """Give a noisy answer once, in this life or a later one: the mean of many is exact."""
        if self._configuration.release is None:
            return
        if self._spent:
            raise Replayed("the answer is out: noise drawn again would cancel the first.")
        self._spent = True
        self._count = self._device.ask({})[0]["count"]  # so that what is stored is out of date

    def _for_analyst(self, payload: bytes, context: str) -> bytes:
        reader = bytes.fromhex(self._configuration.analyst)
        return seal(payload, reader=reader, context=context, sender=self._signer)

    def _keep(self, owner: str, payload: bytes) -> None:
        arrays = wire.unpack(payload)
        rows = int(arrays.pop("rows"))
        self._shards[owner] = Shard(owner, rows, arrays)
        self._stored[owner] = payload

    def _sealed(self) -> bytes:
        """Everything received so far, for storage at the host."""
        packed = {name: np.frombuffer(p, np.uint8) for name, p in self._stored.items()}
        self._count = self._device.ask({})[0]["count"]
        return seal_state(wire.pack(packed), key=self._storage_key, count=self._count)


def _text(values: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(json.dumps(values).encode(), np.uint8)


def serve(host: Channel, enclave: Enclave) -> None:
    """Obey the host; refuse without saying more than which rule it broke."""
    while True:
        request, body = host.receive()
        if request.get("do") == "erase":
            host.send({})
            return
        try:
            head, answer = enclave.answered(request, body)
        except Exception as error:
            head, answer = _refusal(error), b""
        host.send(head, answer)


def _refusal(error: Exception) -> dict[str, str]:
    """Say what went wrong without a word that may come from the data.

    What the enclave itself refuses is about messages, and says which; of what the program or a
    library raises, only the kind leaves, with what is always true of it.
    """
    kind = type(error)
    if kind.__module__ == errors.__name__:
        return {"refused": kind.__name__, "reason": str(error)}
    if isinstance(error, PetlabError):
        always = (kind.__doc__ or "").strip().partition("\n")[0]
        return {"refused": kind.__name__, "reason": f"inside the enclave: {always}"}
    return {"refused": "ProtocolError", "reason": f"inside the enclave: {kind.__name__}"}


def _import(configuration: Configuration) -> None:
    """Load the program and the libraries that it will use, while nothing is confined yet."""
    for module in configuration.modules:
        importlib.import_module(module)
    if not configuration.program:
        return
    used = {name.partition(".")[0] for name in libraries(configuration.modules)}
    for library in PRELOADED:
        if library.partition(".")[0] in used:
            importlib.import_module(library)
    if configuration.release:
        configuration.guard(configuration.plan())  # some calibrations import more
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def main(private: int) -> None:
    """Start as a child of the device: libraries first, then the configuration, then walls."""
    host_end = os.dup(0)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    host, device = Channel(host_end, host_end), Channel(private, private)
    with contextlib.suppress(ProtocolError):
        device.send({"ready": True})
        head, key = device.receive()
        configuration = Configuration.from_json(head["configuration"])
        begun = time.perf_counter()
        _import(configuration)
        imported_s = time.perf_counter() - begun
        enclave = Enclave(configuration, key, head["count"], device)
        enclave.isolation = confine()
        device.send({"key": digest(enclave.public_key), "imported_s": imported_s})
        serve(host, enclave)
