"""Studies, hostile hosts and processes for the tests of trusted execution."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from studies import public_of, records_of, spread

from petlab.core.party import Shard
from petlab.core.session import Opening
from petlab.core.task import Program
from petlab.running.registry import find_task, find_technique
from petlab.techniques.tee.attestation import Manufacturer, Quote
from petlab.techniques.tee.configuration import Configuration
from petlab.techniques.tee.deployment import Machine
from petlab.techniques.tee.technique import Delivery

Reply = tuple[dict[str, Any], bytes]
Attack = Callable[[dict[str, Any], bytes, Reply], Reply]


def opening_of(
    task: str, program: str, *, dataset: str = "wdbc", spec: str = "tee", **settings: Any
) -> Opening:
    """What a small study is opened with: 90 records of three owners of rows, or two of columns."""
    chosen = find_task(task).settings(**settings)
    records = records_of(task, dataset, chosen, rows=90)
    found = find_task(task).programs[program]
    shards = spread(records, 3)
    if found.columns:
        shards = [
            Shard(f"owner-{k + 1}", 90, {name: records[name] for name in names})
            for k, names in enumerate(found.columns)
        ]
    plan = found.plan(chosen, public_of(records, len(shards)))
    return Opening(shards, plan, seed=3, release=find_technique(spec).release(plan))


class Study:
    """A delivery whose messages go through a host that may do what it likes.

    Runs again and again for the same configuration; only the first of them launches it.

    Parameters
    ----------
    opening, program
        What is run.
    machine
        Another study's machine, whose enclave is exchanged; None starts one.
    """

    def __init__(self, opening: Opening, program: Program, *, machine: Machine | None = None):
        self.manufacturer = Manufacturer()
        self.machine = machine or Machine(self.manufacturer)
        self.program, self.shards = program, list(opening.shards)
        self.delivery = Delivery(opening, self.machine, self.manufacturer)
        self.parties = self.delivery._parties
        self.agreed = self.delivery._agreed(program)
        self.policy = self.parties.policy(self.agreed)

    def launch(self, configuration: Configuration | None = None) -> None:
        """Launch what was agreed, or what the host prefers."""
        body = canonical_json(configuration or self.agreed)
        self.machine.ask({"to": "device", "do": "launch"}, body)

    def restart(self, configuration: Configuration | None = None) -> None:
        """Give the enclave another life on the same device."""
        self.machine.ask({"to": "host", "do": "restart"})
        self.launch(configuration)

    def attested(self) -> bytes:
        """Key of the enclave, once it has proved itself to its owners."""
        return self.parties.attested(self.policy, self.machine.ask)

    def sealed(self, k: int, key: bytes) -> bytes:
        """One owner's records for the enclave."""
        shard = self.shards[k]
        return self.parties.sealed(shard.owner, shard.rows, dict(shard.arrays), key)

    def provision(self, owner: str, message: bytes) -> None:
        """Hand the enclave what came from an owner."""
        self.machine.ask({"to": "enclave", "do": "provision", "owner": owner}, message)

    def provision_all(self) -> bytes:
        """Attest the enclave and hand it everybody's records; return its key."""
        key = self.attested()
        for k, shard in enumerate(self.shards):
            self.provision(shard.owner, self.sealed(k, key))
        return key

    def answer(self) -> bytes:
        """Let the enclave run."""
        return self.machine.ask({"to": "enclave", "do": "run"})[1]

    def stored(self) -> bytes:
        """What the enclave left with its host."""
        return self.machine.ask({"to": "host", "do": "stored"})[1]

    def seen(self) -> bytes:
        """Everything that went through the host."""
        return self.machine.ask({"to": "host", "do": "seen"})[1]

    def attacked(self, attack: Attack) -> Hostile:
        """Put a hostile host between the parties and an enclave that was launched before."""
        self.delivery._machine = hostile = Hostile(self.machine, attack)  # type: ignore[assignment]
        return hostile


class Hostile:
    """Answers for the host: attacks everything but the first quote, which the analyst gets.

    Attributes
    ----------
    requests
        What it was asked to do.
    received
        All bytes that came with it.
    """

    def __init__(self, machine: Machine, attack: Attack) -> None:
        self._machine, self._attack = machine, attack
        self.requests: list[str] = []
        self.received = b""

    def ask(self, head: dict[str, Any], body: bytes = b"") -> Reply:
        """Do what was asked, and change the answer."""
        self.requests.append(head["do"])
        self.received += body
        if head["do"] == "launch":
            return {"imported_s": 0.0}, b""
        answer = self._machine.ask(dict(head), body)
        if self.requests.count("quote") + (head["do"] == "key") < 2:
            return answer
        return self._attack(head, body, answer)


def requoted(change: Callable[[Quote], Quote]) -> Attack:
    """The attack that shows another quote."""

    def attack(head: dict[str, Any], body: bytes, answer: Reply) -> Reply:
        if head["do"] != "quote":
            return answer
        return {"quote": change(Quote.unpack(answer[0]["quote"])).pack()}, b""

    return attack


def signed_by(device: Ed25519PrivateKey, quote: Quote) -> Quote:
    """The quote as a device signs it."""
    unsigned = replace(quote, signature="")
    return replace(unsigned, signature=device.sign(unsigned.body()).hex())


def canonical_json(configuration: Configuration) -> bytes:
    """A configuration on its way to the device."""
    return json.dumps(configuration.to_json()).encode()


def needles(arrays: dict[str, np.ndarray]) -> Iterator[bytes]:
    """Bytes by which arrays are found: stretches of sixteen numbers that are not all equal."""
    for values in arrays.values():
        flat = np.asarray(values).ravel()
        for start in range(0, max(1, len(flat) - 16), max(1, len(flat) // 12)):
            stretch = flat[start : start + 16]
            if len(np.unique(stretch)) > 1:
                yield from (stretch.astype(kind).tobytes() for kind in ("<f8", "<i8"))


def values_of(answer: Any) -> Iterator[bytes]:
    """Bytes of every number of an answer that is not a round one."""
    for values in answer.values.values():
        for value in np.asarray(values, float).ravel():
            if value != np.rint(value):
                yield value.astype("<f8").tobytes()
    yield from needles(dict(answer.values))


def family(pid: int) -> list[int]:
    """A process and its descendants, eldest first: host, device, enclave."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            parents[int(path.parent.name)] = int(fields[1])
    found = [pid]
    for known in found:
        found += sorted(child for child, parent in parents.items() if parent == known)
    return found


def memory_holds(pid: int, wanted: bytes) -> bool:
    """Whether some bytes stand in another process' memory: an administrator may look."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            start, end = (int(at, 16) for at in span.split("-"))
            if not rights.startswith("rw"):
                continue
            try:
                memory.seek(start)
                if wanted in memory.read(end - start):
                    return True
            except OSError:
                continue
    return False


def written_since(moment: float, *folders: str) -> Iterator[bytes]:
    """Contents of the files that were written since."""
    for folder in folders:
        for root, _, names in os.walk(folder):
            for name in names:
                path = Path(root, name)
                try:
                    if path.stat().st_mtime >= moment and path.is_file():
                        yield path.read_bytes()
                except OSError:
                    continue


PROBE = '''
"""Programs that try what an enclave must not do."""

import ctypes
import os
import socket
import subprocess
from dataclasses import dataclass

import numpy as np

from petlab.core.contribution import Contribution
from petlab.core.ops import Op
from petlab.core.plan import Plan
from petlab.core.rows import Dense
from petlab.core.task import Answer, program


@dataclass(frozen=True)
class Settings:
    """Where to write."""

    path: str = ""


def plan(settings, public):
    """One release of one number."""
    return Plan(settings, public, releases=1, shapes={"total": (1,)})


def tcp(path):
    socket.socket(socket.AF_INET, socket.SOCK_STREAM)


def unix(path):
    socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)


def other_program(path):
    subprocess.run(["/bin/true"], check=True)


def new_file(path):
    with open(path, "wb") as file:
        file.write(b"records")


def hosts_file(path):
    """Read what lies beside the folder that the enclave was given."""
    with open(os.path.join(os.path.dirname(os.path.dirname(path)), "elsewhere")) as file:
        file.read()


def parents_memory(path):
    buffer = ctypes.create_string_buffer(8)
    if ctypes.CDLL(None, use_errno=True).ptrace(16, os.getppid(), 0, 0) < 0:
        raise OSError(ctypes.get_errno())


def mount(path):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", b"/mnt", b"tmpfs", 0, None) < 0:
        raise OSError(ctypes.get_errno())


ATTEMPTS = [tcp, unix, other_program, new_file, hosts_file, parents_memory, mount]


@program(requires={Op.SUM}, plan=plan)
def attempts(session, plan):
    """Say of each attempt whether it failed."""
    failed = []
    for attempt in ATTEMPTS:
        try:
            attempt(plan.settings.path)
            failed.append(False)
        except (OSError, subprocess.SubprocessError):
            failed.append(True)
    secrets = [name for name in os.environ if "SECRET" in name]
    return Answer({"failed": np.array(failed), "secrets": np.array(len(secrets))})


def quote(state, shard, memory):
    """An error whose text is a record."""
    raise ValueError(f"cannot use {shard['x'].tolist()}")


@program(requires={Op.SUM}, plan=plan)
def indiscreet(session, plan):
    """Fail and say too much."""
    contribution = Contribution(fn=quote, shape=(1,), coordinate_max=1.0)
    return Answer({"total": session.sum(contribution, to="analyst").value})
'''
