"""What the simulation cannot stop: reading the records in the enclave process' memory.

Real hardware encrypts an enclave's memory against the kernel. Here it is a process like any other:
its owner's system calls refuse who is not the administrator, and nothing refuses who is.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from petlab.core.party import owner_names
from petlab.techniques.tee.attestation import Manufacturer
from petlab.techniques.tee.configuration import Configuration
from petlab.techniques.tee.deployment import Machine, Parties
from petlab.techniques.tee.liveness import family

if TYPE_CHECKING:
    import pandas

OWNER = owner_names(1)[0]
STRANGER = 65534
"""User number that Linux gives to nobody."""
ROLES = ("host", "device", "enclave")
ROOT, USER = "administrator (root)", "user who started it"
REFUSED = "not permitted here"


@dataclass(frozen=True)
class Look:
    """One reader's attempt on one process.

    Attributes
    ----------
    reader, process
        Who tried, and whose memory.
    places
        How often the known record stands there; None where it was not searched.
    outcome
        What became of the attempt.
    """

    reader: str
    process: str
    places: int | None
    outcome: str


@dataclass(frozen=True)
class MemoryReading:
    """What a machine's users could read of records that an attested enclave holds.

    Attributes
    ----------
    records
        Number of records that the owner sealed for the enclave.
    recovered
        Others' records that stood behind the known one, bit for bit; None where nobody could look.
    """

    records: int
    looks: Sequence[Look]
    recovered: int | None

    @property
    def table(self) -> pandas.DataFrame:
        """One row per attempt."""
        import pandas as pd

        rows = [
            {
                "reader": look.reader,
                "process": look.process,
                "places of the known record": "–" if look.places is None else str(look.places),
                "outcome": look.outcome,
            }
            for look in self.looks
        ]
        return pd.DataFrame(rows).set_index("reader")

    @property
    def sentence(self) -> str:
        """What it means, for a reader who is no expert."""
        others = self.records - 1
        if self.recovered is None:
            return (
                "Not shown here: the kernel refused who runs this, who is no administrator, or one "
                "in a container without the right to look. That is a rule of the kernel's, no "
                "property of the enclave; an administrator of the machine can read everything."
            )
        return (
            f"Who knew one record and was administrator read {self.recovered} of the other "
            f"{others}, bit for bit, after the owner had attested the enclave and sealed them "
            "for it alone."
        )

    def _repr_html_(self) -> str:
        return f"<h3>Memory</h3><p>{self.sentence}</p>{self.table.to_html()}"


@dataclass(frozen=True)
class Found:
    """Places where a record stood, and how many others stood around it, as they were sent."""

    places: int
    others: int


def read_memory(dataset: str) -> MemoryReading:
    """Seal a data set's records for an attested enclave, and look for one of them from outside.

    Parameters
    ----------
    dataset
        A shipped data set.

    Raises
    ------
    ProtocolError
        The machine did not start, or attestation failed.
    """
    from petlab.data.dataset import find_dataset

    table = find_dataset(dataset).load()
    records = np.column_stack([np.asarray(values, float) for values in table.values.values()])
    root = os.geteuid() == 0
    looks, recovered = [], None
    with holding(records) as machine:
        members = list(family(machine.pid))
        processes = zip(ROLES, (*members[:2], members[-1]), strict=True)
        for role, pid in processes:
            if root:
                looks.append(Look("another user", role, None, _stranger_opens(pid)))
            found = search(pid, records)
            places = None if found is None else found.places
            outcome = REFUSED if found is None else "read"
            looks.append(Look(ROOT if root else USER, role, places, outcome))
            if found and role == "enclave":
                recovered = found.others
    return MemoryReading(len(records), sorted(looks, key=lambda look: look.reader), recovered)


@contextmanager
def holding(records: np.ndarray) -> Iterator[Machine]:
    """Give a machine whose enclave one owner attested and gave its records; end it afterwards."""
    manufacturer = Manufacturer()
    parties, machine = Parties([OWNER], manufacturer), Machine(manufacturer)
    agreed = Configuration(
        program="",
        settings=("", {}),
        public={},
        seed=0,
        release=None,
        analyst=parties.analyst,
        owners=parties.owners,
    )
    try:
        body = json.dumps(agreed.to_json()).encode()
        machine.ask({"to": "device", "do": "launch"}, body)
        key = parties.attested(parties.policy(agreed), machine.ask)
        sealed = parties.sealed(OWNER, len(records), {"records": records}, key)
        machine.ask({"to": "enclave", "do": "provision", "owner": OWNER}, sealed)
        yield machine
    finally:
        machine.close()


def search(pid: int, records: np.ndarray) -> Found | None:
    """Search a process' memory; None where the kernel does not permit to look."""
    try:
        return search_in(_writable_memory(pid), records)
    except PermissionError:
        return None


def search_in(memory: Iterable[bytes], records: np.ndarray) -> Found:
    """Look for the first record, and compare what follows with the others.

    Parameters
    ----------
    memory
        Stretches of memory.
    records
        Shape (records, columns), float64: the first is what the reader knows, perhaps its own;
        the others serve to say how many of those read are right.
    """
    known, behind = records[0].tobytes(), records[1:].tobytes()
    places, others = 0, 0
    for stretch in memory:
        at = stretch.find(known)
        while at >= 0:
            places += 1
            start = at + len(known)
            others = max(others, _equal(stretch[start : start + len(behind)], behind, len(known)))
            at = stretch.find(known, at + 1)
    return Found(places, others)


def _equal(left: bytes, right: bytes, width: int) -> int:
    """How many stretches of a width are the same in both."""
    starts = range(0, min(len(left), len(right)) - width + 1, width)
    return sum(left[k : k + width] == right[k : k + width] for k in starts)


def _writable_memory(pid: int) -> Iterator[bytes]:
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            if not rights.startswith("rw"):
                continue
            start, end = (int(at, 16) for at in span.split("-"))
            try:
                memory.seek(start)
                yield memory.read(end - start)
            except (OSError, OverflowError):
                continue


def _stranger_opens(pid: int) -> str:
    """Whether an ordinary user may as much as open the memory; asked by an administrator."""
    command = ["/bin/sh", "-c", 'exec 3< "$0"', f"/proc/{pid}/mem"]
    done = subprocess.run(
        command, user=STRANGER, group=STRANGER, extra_groups=[], capture_output=True, check=False
    )
    return "could open it" if done.returncode == 0 else REFUSED
