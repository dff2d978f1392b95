"""Compute parties, links and studies for the tests of multiparty computation.

Run as a program, this imports CrypTen once and forks parties on request: tests then open
a cluster in a tenth of a second instead of three.
"""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from petlab.core.arrays import Protected
from petlab.core.party import Shard
from petlab.core.plan import Plan, Public
from petlab.core.session import Opening
from petlab.techniques.mpc import party
from petlab.techniques.mpc.cluster import Cluster
from petlab.techniques.mpc.session import SharedSession
from petlab.techniques.mpc.technique import Settings
from petlab.techniques.mpc.traffic import hub, links, meeting
from petlab.techniques.mpc.traffic.links import Link

UNIT = 2.0**-20
"""The last fixed-point bit of a shared real number."""
NEW_NETWORK = 0x40000000


class Nursery:
    """A process that forks compute parties which call at an address."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._notes = tempfile.TemporaryDirectory()
        self.pids: list[int] = []

    def start(self, rank: int, world_size: int, address: str, secret: bytes, **how: Any) -> int:
        """Fork one party; return its process id.

        Parameters
        ----------
        how
            `silence_s` and `meeting_s`: shorter patience. `zeros`: masks are zero instead of
            random. `namespace`: name of the network namespace it runs in.
        """
        assert self._process.stdin and self._process.stdout
        asked = {"party": [rank, world_size, address, secret.hex()], "notes": self._notes.name}
        self._process.stdin.write(json.dumps(asked | how) + "\n")
        self._process.stdin.flush()
        self.pids.append(int(self._process.stdout.readline()))
        return self.pids[-1]

    def note(self, pid: int) -> str:
        """What a party that ended said last: nothing if it ended as it should."""
        wait_until(lambda: not alive(pid))
        return Path(self._notes.name, str(pid)).read_text()

    def cluster(
        self, parties: int = 2, *, third_dealer: bool = True, address: str = "", **how: Any
    ) -> Cluster:
        """Open a cluster whose parties call on loopback."""
        address, secret = address or free_address(), secrets.token_bytes(32)
        found = Cluster(parties, third_dealer=third_dealer, address=address, secret=secret)
        for rank in range(parties + third_dealer):
            self.start(rank, parties, address, secret, **how)
        return found

    def settings(self, folder: Path, *, parties: int = 2, **how: Any) -> Settings:
        """Start all parties of a cell, and return the settings by which it finds them."""
        address, secret = free_address(), secrets.token_bytes(32)
        path = folder / f"secret-{address.rpartition(':')[2]}"
        path.write_bytes(secret)
        for rank in range(parties + 1):
            self.start(rank, parties, address, secret, **how)
        return Settings(parties, address=address, secret_file=str(path))

    def close(self) -> None:
        """End it, and what it started."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._notes.cleanup()


@contextmanager
def nursery() -> Iterator[Nursery]:
    """A nursery for the tests of one module."""
    found = Nursery()
    try:
        yield found
    finally:
        found.close()


class Study:
    """A session in which tests share and read whatever array they like.

    Parameters
    ----------
    record
        Keep what every party receives.
    """

    def __init__(self, cluster: Cluster, *, record: bool = False) -> None:
        self.cluster = cluster
        self._shelves: dict[str, dict[str, np.ndarray]] = {"owner-1": {}, "owner-2": {}}
        self._shapes: dict[str, tuple[int, ...]] = {}
        plan = Plan(None, Public(), releases=1 << 30, value_max=2.0**20, shapes=self._shapes)
        shards = [Shard(name, 1, shelf) for name, shelf in self._shelves.items()]
        self.session = SharedSession(Opening(shards, plan, record=record), cluster)

    def share(self, values: Any, *, owner: str = "owner-1", label: str = "") -> Protected:
        """Share an array of one owner."""
        self._shelves[owner]["values"] = np.asarray(values)
        return self.session.share("values", owner=owner, label=label)

    def local(self, values: Any, *, owner: str = "owner-2") -> Any:
        """Refer to an array that stays where it is."""
        self._shelves[owner]["local"] = np.asarray(values)
        return self.session.local("local", at=owner)

    def read(self, value: Protected) -> np.ndarray:
        """Open an array to the analyst."""
        self._shapes[str(value.shape)] = value.shape
        return self.session.reveal(value, to="analyst")

    def close(self) -> None:
        """End the parties."""
        self.session.close()


class Table:
    """In place of a network, for parties that are threads of one process."""

    def __init__(self, parties: int) -> None:
        self._shares: list[Any] = [None] * parties
        self._barrier = threading.Barrier(parties, timeout=60)

    def seat(self, rank: int) -> Any:
        """The communicator of one party."""
        return _Seat(self, rank)

    def opened(self, rank: int, share: Any) -> Any:
        """Sum of what all parties lay down."""
        self._shares[rank] = share.clone()
        self._barrier.wait()
        total = sum(self._shares[1:], self._shares[0])
        self._barrier.wait()
        return total


class _Seat:
    def __init__(self, table: Table, rank: int) -> None:
        self._table, self._rank = table, rank

    def all_reduce(self, share: Any) -> Any:
        return self._table.opened(self._rank, share)


def in_parallel(*tasks: Callable[[], Any]) -> list[Any]:
    """Results, or the errors, of functions that wait for each other."""
    found: list[Any] = [None] * len(tasks)

    def run(k: int) -> None:
        try:
            found[k] = tasks[k]()
        except Exception as error:
            found[k] = error

    threads = [threading.Thread(target=run, args=(k,)) for k in range(len(tasks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "deadlock"
    return found


def connected() -> tuple[socket.socket, socket.socket]:
    """Two ends of a TCP connection on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        return near, listener.accept()[0]


def linked(near: socket.socket, far: socket.socket) -> tuple[Link, Link]:
    """A link between "a" and "b"."""
    ends = in_parallel(
        lambda: Link(near, me="a", secret=b"s" * 32, expected="b"),
        lambda: Link(far, me="b", secret=b"s" * 32),
    )
    for end in ends:
        if isinstance(end, Exception):
            raise end
    return ends[0], ends[1]


def uniformity(words: np.ndarray) -> float:
    """Probability that uniform words have top bytes at least as unevenly spread as these."""
    top = np.ascontiguousarray(words).view(np.uint64).ravel() >> np.uint64(56)
    return float(stats.chisquare(np.bincount(top.astype(int), minlength=256)).pvalue)


def fixed(values: Any, bits: int = 20) -> np.ndarray:
    """Fixed-point integers."""
    return np.rint(np.ldexp(np.asarray(values, float), bits)).astype(np.int64)


def free_address() -> str:
    """An address on loopback where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def group(leader: int) -> set[int]:
    """Processes of a group that still run."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == leader and fields[0] != "Z":
            found.add(int(path.parent.name))
    return found


def wait_until(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    """Wait for something that takes a moment."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


class _Zeros:
    """A stream that hides nothing."""

    def __init__(self, key: bytes | None = None) -> None:
        pass

    def words(self, shape: Any) -> np.ndarray:
        return np.zeros(tuple(shape), np.int64)


def _run(asked: dict[str, Any]) -> None:
    rank, world_size, address, secret = asked["party"]
    if "silence_s" in asked:
        links.SILENCE_S = asked["silence_s"]
        hub.HEARTBEAT_S = asked["silence_s"] / 5
    if "meeting_s" in asked:
        meeting.MEETING_S = asked["meeting_s"]
    if asked.get("zeros"):
        from petlab.techniques.mpc.crypten import engine

        engine.Stream = _Zeros  # type: ignore[attr-defined]
    if "namespace" in asked:
        with open(f"/var/run/netns/{asked['namespace']}") as namespace:
            assert ctypes.CDLL(None).setns(namespace.fileno(), NEW_NETWORK) == 0
    try:
        party.serve(party.Arguments(rank, world_size, address, bytes.fromhex(secret)))
        said = ""
    except Exception as error:
        said = str(error)
    Path(asked["notes"], str(os.getpid())).write_text(said)


def main() -> None:
    """Read one request a line from standard input; answer with the process id."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    party._import_engine("crypten")
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            party.end_with_parent()
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            _run(json.loads(line))
            os._exit(0)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
