"""The compute parties as seen by the process that runs the program."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from petlab.core.children import running
from petlab.errors import ProtocolError, UsageError
from petlab.techniques.mpc.party import (
    ANALYST_LINK,
    ENGINES,
    SHARE,
    party_name,
)
from petlab.techniques.mpc.traffic.commands import Command
from petlab.techniques.mpc.traffic.hub import Hub
from petlab.techniques.mpc.traffic.links import Link, PeerLost
from petlab.techniques.mpc.traffic.meeting import BACKLOG, MEETING_S, Door, split_address

_PARTY = "petlab.techniques.mpc.party"


class Cluster:
    """Starts compute parties, or waits for those that were started elsewhere.

    Parameters
    ----------
    parties
        Number of compute parties.
    third_dealer
        Let a further process deal; else rank 0 does.
    address
        HOST:PORT at which parties on other hosts call; None starts them here.
    secret
        Study secret, 32 bytes; None makes a fresh one.
    engine
        Whose protocols the parties carry out.
    python
        Interpreter that runs them; this one by default.

    Raises
    ------
    UsageError
        The address is taken or does not exist here.
    ProtocolError
        A party did not come, or came with a wrong world size.
    """

    def __init__(
        self,
        parties: int,
        *,
        third_dealer: bool,
        address: str | None = None,
        secret: bytes | None = None,
        engine: str = ENGINES[0],
        python: str = sys.executable,
    ) -> None:
        self.names = [party_name(k, parties) for k in range(parties)]
        self.dealer = party_name(parties, parties) if third_dealer else None
        self._processes = [*self.names, *([self.dealer] if self.dealer else [])]
        self._secret = secrets.token_bytes(32) if secret is None else secret
        self.engine, self._python = engine, python
        self._hub = Hub(ANALYST_LINK)
        self._nursery: subprocess.Popen[bytes] | None = None
        self._end: Callable[[], object] | None = None
        self._peers: list[tuple[str, int]] = []
        self.pids: dict[str, int] = {}
        listener = _listen(address)
        self._address = listener.getsockname()[:2]
        self._door = Door(listener, me=ANALYST_LINK, secret=self._secret)
        if address is None:
            self._start()

    def gather(self) -> None:
        """Wait until all parties are there; what they import is not the session's cost."""
        if self._peers:
            return
        try:
            self._peers = self._greet()
        except ProtocolError:
            self.close()
            raise
        finally:
            self._door.close()

    def connect(self, *, record: bool = False) -> None:
        """Let the parties meet each other, and agree on keys and streams."""
        self.gather()
        task = {
            "peers": self._peers,
            "parties": self.names,
            "dealer": self.dealer,
            "record": record,
        }
        try:
            for name in self._processes:
                self._hub.links[name].send(json.dumps(task).encode())
            for name in self._processes:
                self._answer(name)
        except ProtocolError:
            self.close()
            raise

    def tell(self, name: str, command: Command) -> int:
        """Send a command to one party; return the bytes on the wire."""
        try:
            return self._hub.links[name].send(command.pack())
        except PeerLost as error:
            raise self._reason(error) from None

    def share(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Read a share that one party was asked for."""
        payload = self._receive(name)
        self._raise_if_failed(name, payload)
        return np.frombuffer(payload[len(SHARE) :], np.int64).reshape(shape)

    def shares(self, shape: tuple[int, ...]) -> list[np.ndarray]:
        """Read one share of each party, by rank."""
        return [self.share(name, shape) for name in self.names]

    def log(self, name: str) -> dict[str, Any]:
        """Ask one party what it did since the last time."""
        self.tell(name, Command("log"))
        return self._answer(name)

    def logs(self) -> dict[str, dict[str, Any]]:
        """Ask every compute party what it did since the last time."""
        for name in self.names:
            self.tell(name, Command("log"))
        return {name: self._answer(name) for name in self.names}

    def close(self) -> None:
        """Let all parties go, and make sure that those started here are gone."""
        self._hub.close()
        self._door.close()
        if self._end is not None:
            self._end()

    def _start(self) -> None:
        host, port = self._address
        sizes = str(len(self.names)), str(len(self._processes))
        self._nursery = subprocess.Popen(
            [*running(_PARTY, python=self._python), *sizes, f"{host}:{port}", self.engine],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._nursery.stdin is not None
        self._nursery.stdin.write(self._secret)
        self._nursery.stdin.close()
        # Also when nobody calls close(): a cell can fail before its session is open.
        self._end = weakref.finalize(self, _kill, self._nursery, self._hub)

    def _greet(self) -> list[tuple[str, int]]:
        """Accept every party once; return where each listens, by rank."""
        found: dict[int, tuple[str, int]] = {}
        deadline = time.monotonic() + MEETING_S
        while len(found) < len(self._processes):
            self._check_start(deadline, len(found))
            link = self._door.entered(0.5)
            if link is None:
                continue
            greeting = json.loads(link.receive())
            self._admit(link, greeting, found)
            found[greeting["rank"]] = (greeting["host"], greeting["port"])
        return [found[rank] for rank in range(len(self._processes))]

    def _admit(self, link: Link, greeting: dict[str, Any], found: dict[int, Any]) -> None:
        rank, world, engine = (greeting[k] for k in ("rank", "world_size", "engine"))
        problem = None
        if world != len(self.names):
            problem = f"rank {rank} expects {world} compute parties, not {len(self.names)}."
        elif engine != self.engine:
            problem = f"rank {rank} runs {engine}, not {self.engine}."
        elif rank in found or not 0 <= rank < len(self._processes):
            problem = f"rank {rank} is taken or out of place."
        elif link.peer != self._processes[rank]:
            problem = f"rank {rank} calls itself {link.peer!r}."
        if problem:
            link.send(json.dumps({"refused": problem}).encode())
            link.close()
            raise ProtocolError(problem)
        self._hub.add(link)
        self.pids[link.peer] = greeting["pid"]

    def _check_start(self, deadline: float, present: int) -> None:
        if self._nursery is not None and self._nursery.poll() is not None:
            raise ProtocolError("the compute parties did not start: see `petlab doctor`.")
        if time.monotonic() > deadline:
            missing = len(self._processes) - present
            strangers = self._door.turned_away
            said = f" {strangers} callers did not know the study secret." if strangers else ""
            raise ProtocolError(f"{missing} of the parties did not come in {MEETING_S:g} s.{said}")

    def _answer(self, name: str) -> dict[str, Any]:
        payload = self._receive(name)
        self._raise_if_failed(name, payload)
        return json.loads(payload)

    def _receive(self, name: str) -> bytes:
        try:
            return self._hub.await_from(name)
        except PeerLost as error:
            raise self._reason(error) from None

    def _raise_if_failed(self, name: str, payload: bytes) -> None:
        if payload.startswith(SHARE):
            return
        answer = json.loads(payload)
        if "failed" in answer:
            lost = ProtocolError(f"{name}: {answer['failed']}")
            raise self._reason(lost, reported=name) if answer["lost"] else lost

    def _reason(self, first: ProtocolError, *, reported: str = "") -> ProtocolError:
        """Look for the party whose failure made the others fail.

        First of all one that says what went wrong, then one that left without a word, then
        what the others say of each other.
        """
        silent, said = list[ProtocolError](), [first] if reported else []
        for name in self._processes:
            try:
                answer = self._last_words(name)
            except ProtocolError as error:
                silent += [] if name == reported else [error]
                continue
            if answer:
                found = ProtocolError(f"{name}: {answer['failed']}")
                if not answer["lost"]:
                    return found
                said.append(found)
        return [*silent, *said, first][0]

    def _last_words(self, name: str) -> dict[str, Any] | None:
        """Read on until a party's report of its failure: replies may lie before it."""
        while payload := self._hub.links[name].pending(0.5):
            if not payload.startswith(SHARE) and "failed" in (answer := json.loads(payload)):
                return answer
        return None


def _kill(nursery: subprocess.Popen[bytes], hub: Hub) -> None:
    hub.close()
    # They hold nothing that must be saved, and torch takes seconds to unload.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(nursery.pid, signal.SIGKILL)
    nursery.wait()


def _listen(address: str | None) -> socket.socket:
    if address is None:
        return socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    try:
        return socket.create_server(split_address(address), backlog=BACKLOG)
    except OSError as error:
        raise UsageError(f"cannot listen at {address}: {error.strerror}.") from None
