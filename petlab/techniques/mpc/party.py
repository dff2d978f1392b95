"""A compute party, or the dealer, as a process of its own: what `petlab party` runs."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import secrets
import signal
import socket
import sys
import time
from collections import deque
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from petlab.core.party import DEALER
from petlab.errors import PetlabError, ProtocolError, UsageError
from petlab.metering.meter import PeakMemory
from petlab.techniques.mpc.traffic.commands import Command
from petlab.techniques.mpc.traffic.hub import Hub
from petlab.techniques.mpc.traffic.links import Link, PeerLost
from petlab.techniques.mpc.traffic.meeting import BACKLOG, Door, called, reach, split_address

ANALYST_LINK = "coordinator"
"""Name of the process that runs the program: the analyst, and in a simulation the owners."""
SHARE = b"="
"""Begins an answer that is a share; others are JSON."""
SECRET_BYTES = 32
AHEAD = 4
"""How many commands a party looks ahead."""
ENGINES = ("crypten", "spu")
"""Libraries whose protocols the parties can carry out."""


def party_name(rank: int, world_size: int) -> str:
    """Name of a compute party; the rank after the last one is the dealer."""
    return f"party-{rank + 1}" if rank < world_size else DEALER


@dataclass(frozen=True)
class Arguments:
    """What `petlab party` is told."""

    rank: int
    world_size: int
    address: str
    secret: bytes
    engine: str = ENGINES[0]


def serve(arguments: Arguments) -> None:
    """Join a computation and carry out its commands until the coordinator leaves.

    Raises
    ------
    ProtocolError
        The coordinator or a peer cannot be reached, falls silent or does not know the secret.
    """
    _import_engine(arguments.engine)  # before the coordinator is told that this party is there
    hub, met = Hub(party_name(arguments.rank, arguments.world_size)), False
    door: Door | None = None
    try:
        door = _greet(hub, arguments)
        task = _task(hub)
        _meet(hub, door, task, arguments)
        met = True
        door.close()
        _work(hub, task, arguments)
    except PeerLost as error:
        _report(hub, error, lost=True)
        if not met:  # later on, this is how a computation ends
            raise
    except Exception as error:
        _report(hub, error, lost=False)
        raise
    finally:
        if door:
            door.close()
        hub.close()


def _greet(hub: Hub, arguments: Arguments) -> Door:
    """Greet the coordinator; return where this party takes calls.

    It listens where the coordinator's link ends: on one machine that is loopback.
    """
    connection = reach(split_address(arguments.address), "the coordinator")
    here = connection.getsockname()[0]
    link = Link(connection, me=hub.me, secret=arguments.secret, expected=ANALYST_LINK)
    hub.add(link)
    listener = socket.create_server((here, 0), family=connection.family, backlog=BACKLOG)
    greeting = {
        "rank": arguments.rank,
        "world_size": arguments.world_size,
        "engine": arguments.engine,
        "pid": os.getpid(),
        "host": here,
        "port": listener.getsockname()[1],
    }
    link.send(json.dumps(greeting).encode())
    return Door(listener, me=hub.me, secret=arguments.secret)


def _task(hub: Hub) -> dict[str, Any]:
    """Learn from the coordinator where the others are."""
    task = json.loads(hub.links[ANALYST_LINK].receive())
    if "refused" in task:
        raise ProtocolError(task["refused"])
    hub.record(task["record"])
    return task


def _meet(hub: Hub, door: Door, task: dict[str, Any], arguments: Arguments) -> None:
    """Connect to all peers: this one calls those of lower rank, and the others call it."""
    peers, coordinator = task["peers"], hub.links[ANALYST_LINK]
    for rank, (host, port) in enumerate(peers):
        if rank < arguments.rank:
            expected = party_name(rank, arguments.world_size)
            connection = reach((host, port), expected, coordinator)
            hub.add(Link(connection, me=hub.me, secret=arguments.secret, expected=expected))
    missing = {party_name(k, arguments.world_size) for k in range(arguments.rank + 1, len(peers))}
    while missing:
        link = called(door, coordinator)
        if link.peer in missing:
            hub.add(link)
            missing.discard(link.peer)
        else:
            link.close()


def _work(hub: Hub, task: dict[str, Any], arguments: Arguments) -> None:
    parties, rank = task["parties"], arguments.rank
    if rank == len(parties):
        from petlab.techniques.mpc.crypten.engine import serve_as_dealer

        _ready(hub)
        serve_as_dealer(hub, parties)
        return
    engine = _engine(hub, task, arguments)
    memory = PeakMemory()
    _ready(hub)
    queue: deque[tuple[bytes, Command]] = deque()
    while True:
        _look_ahead(hub, engine, queue)
        message, command = queue.popleft()
        if command.name == "log":
            _reply(hub, **_log(hub, engine, memory))
            continue
        hub.took(ANALYST_LINK, "command", message)
        share = engine.execute(command)
        if share is not None:
            hub.send(ANALYST_LINK, "share", SHARE + share.tobytes())


def _engine(hub: Hub, task: dict[str, Any], arguments: Arguments) -> Any:
    """Return what carries out commands: `announce`, `execute`, `offline_s` and `dealt`."""
    parties, rank = task["parties"], arguments.rank
    if arguments.engine == "spu":
        from petlab.techniques.mpc.spu import engine as spu

        return spu.Engine(hub, parties, rank, hosts=[host for host, _ in task["peers"]])
    from petlab.techniques.mpc.crypten import engine as crypten

    return crypten.Engine(hub, parties, rank, dealer=task["dealer"])


def _look_ahead(hub: Hub, engine: Any, queue: deque[tuple[bytes, Command]]) -> None:
    """Take commands that have arrived, so that the dealer can prepare what they consume."""
    link = hub.links[ANALYST_LINK]
    while len(queue) < AHEAD:
        message = link.pending() if queue else link.receive()
        if message is None:
            return
        command = Command.unpack(message)
        queue.append((message, command))
        if command.name != "log":
            engine.announce(command)


def _ready(hub: Hub) -> None:
    hub.links[ANALYST_LINK].send(json.dumps({"ready": True}).encode())


def _reply(hub: Hub, **values: Any) -> None:
    hub.links[ANALYST_LINK].send(json.dumps(values).encode())


def _log(hub: Hub, engine: Any, memory: PeakMemory) -> dict[str, Any]:
    events, hub.log = hub.log, []
    return {
        "events": [astuple(event) for event in events],
        "offline_s": engine.offline_s,
        "dealt": engine.dealt,
        "cpu_s": time.process_time(),
        "peak_mib": memory.mib,
        "received": [[p, label, data.hex()] for p, label, data in hub.forget()],
    }


def _report(hub: Hub, error: Exception, *, lost: bool) -> None:
    """Tell the coordinator why this party leaves, if it can still be told."""
    reason = str(error) if isinstance(error, PetlabError) else f"{type(error).__name__}: {error}"
    link = hub.links.get(ANALYST_LINK)
    if link is not None:
        with contextlib.suppress(ProtocolError):  # it may be gone: then there is nobody to tell
            link.send(json.dumps({"failed": reason, "lost": lost}).encode())


def new_secret(path: str) -> None:
    """Write a fresh study secret that only its owner may read.

    Raises
    ------
    UsageError
        The file exists, or cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(SECRET_BYTES))


def read_secret(path: str) -> bytes:
    """Read a study secret from a file, or from standard input for "-".

    Raises
    ------
    UsageError
        It cannot be read, or is of another length.
    """
    try:
        secret = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"secret {path!r} cannot be read: {error.strerror}.") from None
    if len(secret) != SECRET_BYTES:
        raise UsageError(
            f"a study secret has {SECRET_BYTES} bytes: `petlab party --new-secret FILE` makes one."
        )
    return secret


def end_with_parent() -> None:
    """Let the kernel end this process when the one that started it ends (Linux)."""
    # Elsewhere a party ends when its link to the coordinator breaks.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def main() -> None:
    """Run all parties of a computation as children of one process that imports once.

    Its arguments are the world size, the number of processes, the coordinator's address and
    the engine; the secret comes on standard input. Nothing of the coordinator's memory is
    inherited.
    """
    end_with_parent()
    world_size, processes, address, engine = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]
    secret = sys.stdin.buffer.read(32)
    _import_engine(engine)
    for rank in range(processes):
        if os.fork() == 0:
            end_with_parent()
            os._exit(_run(Arguments(rank, world_size, address, secret, engine)))
    statuses = [os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(processes)]
    sys.exit(any(statuses))


def _import_engine(engine: str) -> None:
    if engine == "spu":
        from petlab.techniques.mpc.spu import machine

        machine.load()
        return
    from petlab.techniques.mpc.crypten import compat

    compat.load()


def _run(arguments: Arguments) -> int:
    try:
        serve(arguments)
    except Exception as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    main()
