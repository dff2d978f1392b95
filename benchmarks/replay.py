"""Modelled against measured network time of techniques whose parties share a process.

Run it as root from the repository: `OMP_NUM_THREADS=1 python benchmarks/replay.py` (some four
minutes). A cell runs once, and who computed for how long, sent how many bytes and waited for
which message is recorded. Then every party is a process in a network namespace of its own behind
a shaped access link (`benchmarks/network.py`), which does the same again: it sleeps where the
party computed, sends as many random bytes over TCP, and waits for what it waited for. The time
that takes is set beside the model's. `--write` puts the table into docs/network.md.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import network

from petlab.metering import transcript
from petlab.metering.network import Link, Timeline
from petlab.running.evaluator import evaluate
from petlab.running.result import Cell, Status

DOC = Path(__file__).resolve().parents[1] / "docs" / "network.md"
BEGIN, END = "<!-- begin: benchmarks/replay.py -->", "<!-- end: benchmarks/replay.py -->"
PORT, RELAY_PORT = 7900, 8000
READY_S = 12.0
"""Seconds in which all processes of a replay have started and found each other."""
LINKS = network.LINKS[1:]
CELLS = (
    Cell("logreg", "sums", "he", "german_credit"),
    Cell("logreg", "sums", "fl+he", "heart", settings={"method": "gradient", "iterations": 30}),
    Cell("deep", "sums", "fl", "digits", settings={"epochs": 30}),
    Cell("deep", "sums", "fl", "digits", settings={"method": "fedavg", "epochs": 30}),
    Cell("logreg", "score", "he", "german_credit"),
    Cell("elm", "sums", "tee", "wdbc"),
)


@dataclass
class Tape(Timeline):
    """A timeline that writes down what every party does, in its order."""

    steps: dict[str, list[list[Any]]] = field(default_factory=lambda: defaultdict(list))
    _sent: dict[float, int] = field(default_factory=dict)
    _count: int = 0

    def compute(self, party: str, seconds: float) -> None:
        """Note work."""
        self.steps[party].append(["work", seconds])
        super().compute(party, seconds)

    def post(self, sender: str, receiver: str, size: int) -> float:
        """Note a message."""
        arrival = super().post(sender, receiver, size)
        self._count += 1
        self._sent[arrival] = self._count
        self.steps[sender].append(["send", receiver, self._count, size])
        return arrival

    def take(self, receiver: str, arrival: float) -> None:
        """Note a wait for a message, or for one that is not known by its arrival."""
        if arrival in self._sent:
            self.steps[receiver].append(["wait", self._sent[arrival]])
        super().take(receiver, arrival)


@dataclass(frozen=True)
class Timing:
    """One cell over one link."""

    cell: Cell
    link: Link
    measured_s: float
    modelled_s: float
    size: int


def recorded(cell: Cell, link: Link) -> tuple[Tape, int]:
    """Run a cell, and return what its parties did and how many bytes they sent."""
    made: list[Tape] = []

    def tape(link: Link) -> Tape:
        made.append(Tape(link))
        return made[-1]

    kept = transcript.Timeline, transcript.WAN
    transcript.Timeline, transcript.WAN = tape, link  # type: ignore[assignment,misc]
    try:
        result = evaluate(cell)
    finally:
        transcript.Timeline, transcript.WAN = kept  # type: ignore[misc]
    if result.status is not Status.OK:
        sys.exit(f"{cell.name}: {result.reason}")
    found = max((t for t in made if t.link is link), key=lambda t: len(t.steps))
    return found, int(result.costs["bytes"].value or 0)


def replayed(tape: Tape, link: Link) -> float:
    """Let processes in namespaces do what the parties did; return how long it took."""
    names = [name for name, steps in tape.steps.items() if steps]
    network.PROCESSES = len(names)
    with network.namespaces(link) as spaces, tempfile.TemporaryDirectory() as folder:
        ports = network.multiprocessing.Queue()
        relaying = network.multiprocessing.Process(
            target=network.relay, args=(ports, link.latency_s)
        )
        relaying.start()
        for k in range(len(names)):
            ports.put((RELAY_PORT + k, f"{network.NET}.{k + 10}", PORT))
        time.sleep(0.5)
        starts = time.time() + READY_S
        processes = []
        for k, (name, space) in enumerate(zip(names, spaces, strict=True)):
            script = Path(folder, f"{k}.json")
            script.write_text(json.dumps([k, names, tape.steps[name], starts]))
            command = ["ip", "netns", "exec", space, sys.executable, __file__, "--party"]
            processes.append(
                subprocess.Popen([*command, str(script)], stdout=subprocess.PIPE, text=True)
            )
        try:
            return max(float(p.stdout.readline()) for p in processes if p.stdout)
        finally:
            relaying.terminate()
            for process in processes:
                process.kill()
                process.wait()


class Party:
    """One party's part of a replay, in its namespace."""

    def __init__(self, rank: int, names: Sequence[str]) -> None:
        self._names = list(names)
        self._arrived: set[int] = set()
        self._changed = threading.Condition()
        self._links: dict[str, queue.SimpleQueue[bytes]] = {}
        server = socket.create_server((f"{network.NET}.{rank + 10}", PORT))
        threading.Thread(target=self._accept, args=(server,), daemon=True).start()

    def connect(self, peers: set[str]) -> None:
        """Open a connection to every party that is written to."""
        for name in peers:
            address = (f"{network.NET}.1", RELAY_PORT + self._names.index(name))
            link = socket.create_connection(address, timeout=60)
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._links[name] = queue.SimpleQueue()
            threading.Thread(target=self._write, args=(link, name), daemon=True).start()

    def run(self, steps: Sequence[Sequence[Any]]) -> None:
        """Work, send and wait, in order."""
        for kind, *what in steps:
            if kind == "work":
                time.sleep(what[0])
            elif kind == "send":
                receiver, number, size = what
                head = number.to_bytes(8, "big") + size.to_bytes(8, "big")
                self._links[receiver].put(head + bytes(max(0, size - len(head))))
            else:
                with self._changed:
                    self._changed.wait_for(lambda number=what[0]: number in self._arrived)

    def _write(self, link: socket.socket, name: str) -> None:
        # A party goes on computing while its uplink is busy.
        while True:
            link.sendall(self._links[name].get())

    def _accept(self, server: socket.socket) -> None:
        while True:
            connection, _ = server.accept()
            threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            while len(head := stream.read(16)) == 16:
                rest = max(0, int.from_bytes(head[8:], "big") - 16)
                while rest and (piece := stream.read(min(rest, 1 << 20))):
                    rest -= len(piece)
                with self._changed:
                    self._arrived.add(int.from_bytes(head[:8], "big"))
                    self._changed.notify_all()


def play(script: Path) -> None:
    """Be one party: print when it was done, in seconds from the start."""
    rank, names, steps, starts = json.loads(script.read_text())
    party = Party(rank, names)
    time.sleep(max(0.0, starts - READY_S / 3 - time.time()))
    party.connect({step[1] for step in steps if step[0] == "send"})
    time.sleep(max(0.0, starts - time.time()))
    party.run(steps)
    print(time.time() - starts, flush=True)
    threading.Event().wait()  # others may still be reading what was sent


def table(timings: list[Timing]) -> str:
    """Markdown."""
    lines = [
        "| cell | link | bytes | measured | modelled | error |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for t in timings:
        link = f"{t.link.name}: {t.link.bits_per_s / 1e6:.0f} Mb/s, {t.link.latency_s * 1e3:g} ms"
        lines.append(
            f"| {network.named(t.cell)} | {link} "
            f"| {t.size / 1e6:.1f} MB | {t.measured_s:.2f} s | {t.modelled_s:.2f} s "
            f"| {t.modelled_s / t.measured_s - 1:+.0%} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Replay all cells over all links."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOC.name}")
    parser.add_argument("--party", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.party:
        play(options.party)
        return
    if os.geteuid():
        sys.exit("network namespaces need root.")
    timings = []
    for cell in CELLS:
        for link in LINKS:
            tape, size = recorded(cell, link)
            timings.append(Timing(cell, link, replayed(tape, link), tape.elapsed, size))
            print(table(timings[-1:]).splitlines()[-1], flush=True)
    if options.write:
        before, _, rest = DOC.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        DOC.write_text(f"{before}{BEGIN}\n{table(timings)}\n{END}{after}", encoding="utf-8")
        network.record_error()


if __name__ == "__main__":
    main()
