"""Modelled against measured network time, over shaped links between network namespaces.

Run it as root from the repository: `OMP_NUM_THREADS=1 python benchmarks/network.py` (some six
minutes; Linux with `ip` and `tc`). Every compute party and the dealer is a process in a network
namespace of its own behind an access link whose rate `tc tbf` limits in both directions; a relay
between them holds every byte back for the link's one-way delay, because not every kernel can
(`netem`). Cells of multiparty computation run there; the wall time of the parties' work is set
beside what petlab's model (`petlab.metering.network`) says from the messages that were counted.

The table is part of docs/mpc.md: `--write` puts it there.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from petlab.core.session import Opening
from petlab.data.dataset import find_dataset
from petlab.metering import transcript
from petlab.metering.network import Link
from petlab.running.placement import place
from petlab.running.prepared import load_records, prepare
from petlab.running.result import Cell
from petlab.techniques.mpc.cluster import Cluster
from petlab.techniques.mpc.session import SharedSession

BRIDGE = "petlab0"
NET = "10.77.0"
PARTIES, PROCESSES = 2, 3
FRAME = 1600
"""Bytes of a full Ethernet frame, rounded up."""
LINKS = (
    Link("LAN", 1e9, 2e-4),
    Link("fast WAN", 3e8, 1e-2),
    Link("WAN", 1e8, 5e-2),
    Link("slow WAN", 2e7, 5e-2),
)
CELLS = (
    Cell("chi2", "linked", "mpc", "german_credit", settings={"factor": "all"}),
    Cell("elm", "outsourced", "mpc", "wdbc", settings={"hidden": 30}),
    Cell("logreg", "outsourced", "mpc", "heart", settings={"outsourced_steps": 3}),
)
DOC = Path(__file__).resolve().parents[1] / "docs" / "mpc.md"
ERROR = Path(__file__).resolve().parents[1] / "petlab" / "report" / "network_error.json"
LONG_S = 5.0
"""Shorter cells say more about starting up than about the network."""
BEGIN, END = "<!-- begin: benchmarks/network.py -->", "<!-- end: benchmarks/network.py -->"


@dataclass(frozen=True)
class Timing:
    """One cell over one link."""

    cell: Cell
    link: Link
    measured_s: float
    modelled_s: float
    rounds: int
    size: int


def shell(command: str) -> None:
    """Run a command line, and fail with it."""
    subprocess.run(command.split(), check=True, capture_output=True)


@contextlib.contextmanager
def namespaces(link: Link) -> Iterator[list[str]]:
    """Namespaces with shaped access links to one bridge; yields their names."""
    names = [f"petlab-{k}" for k in range(PROCESSES)]
    # A bucket of more than a millisecond would let small messages pass as if nothing limited them.
    burst = max(2 * FRAME, link.bits_per_s / 8 * 1e-3)
    rate = f"rate {link.bits_per_s:.0f}bit burst {burst:.0f} latency 400ms"
    shell(f"ip link add {BRIDGE} type bridge")
    try:
        shell(f"ip addr add {NET}.1/24 dev {BRIDGE}")
        shell(f"ip link set {BRIDGE} up")
        for k, name in enumerate(names):
            shell(f"ip netns add {name}")
            shell(f"ip link add v{k} type veth peer name eth0 netns {name}")
            shell(f"ip link set v{k} master {BRIDGE} up")
            shell(f"ip -n {name} addr add {NET}.{k + 10}/24 dev eth0")
            shell(f"ip -n {name} link set eth0 up")
            shell(f"ip -n {name} link set lo up")
            shell(f"tc qdisc add dev v{k} root tbf {rate}")
            shell(f"tc -n {name} qdisc add dev eth0 root tbf {rate}")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
        subprocess.run(["ip", "link", "del", BRIDGE], capture_output=True)


async def pass_on(reader: Any, writer: Any, delay_s: float) -> None:
    """Write what is read, each piece `delay_s` after it came."""
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def take() -> None:
        while data := await reader.read(1 << 16):
            pieces.put_nowait((time.perf_counter() + delay_s, data))
        pieces.put_nowait((0.0, b""))

    taking = asyncio.ensure_future(take())
    while True:
        due, data = await pieces.get()
        if not data:
            break
        wait = due - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        writer.write(data)
        await writer.drain()
    await taking
    writer.close()


def relay(queue: Any, delay_s: float) -> None:
    """Forward connections: takes (port, host, port) from a queue and listens for each."""

    async def forward(target: tuple[str, int], reader: Any, writer: Any) -> None:
        far_reader, far_writer = await asyncio.open_connection(*target)
        await asyncio.gather(
            pass_on(reader, far_writer, delay_s), pass_on(far_reader, writer, delay_s)
        )

    async def serve() -> None:
        while True:
            port, host, far = await asyncio.to_thread(queue.get)
            await asyncio.start_server(
                lambda r, w, t=(host, far): forward(t, r, w), f"{NET}.1", port
            )

    asyncio.run(serve())


class Delayed(Cluster):
    """A cluster whose parties reach each other through the relay."""

    ports: Any

    def _greet(self) -> list[tuple[str, int]]:
        relayed = []
        for rank, (host, port) in enumerate(super()._greet()):
            self.ports.put((7800 + rank, host, port))
            relayed.append((f"{NET}.1", 7800 + rank))
        time.sleep(0.5)
        return relayed


def run(cell: Cell, link: Link) -> Timing:
    """Measure one cell over one link, and model it."""
    with namespaces(link) as names, tempfile.TemporaryDirectory() as folder:
        secret = Path(folder, "secret")
        secret.write_bytes(secrets.token_bytes(32))
        Delayed.ports = multiprocessing.Queue()
        relaying = multiprocessing.Process(target=relay, args=(Delayed.ports, link.latency_s))
        relaying.start()
        Delayed.ports.put((7700, f"{NET}.1", 7701))
        address = f"{NET}.1:7701"
        cluster = Delayed(PARTIES, third_dealer=True, address=address, secret=secret.read_bytes())
        parties = [
            subprocess.Popen(
                [
                    *("ip", "netns", "exec", name, sys.executable, "-m", "petlab", "party"),
                    *("--rank", str(rank), "--world-size", str(PARTIES)),
                    *("--address", f"{NET}.1:7700", "--secret", str(secret)),
                ]
            )
            for rank, name in enumerate(names)
        ]
        try:
            return _timed(cell, link, cluster)
        finally:
            cluster.close()
            relaying.terminate()
            for party in parties:
                party.kill()
                party.wait()


def _timed(cell: Cell, link: Link, cluster: Cluster) -> Timing:
    dataset = find_dataset(cell.dataset)
    prepared = prepare(cell)
    shards, public = place(prepared, *load_records(prepared, dataset))
    plan = prepared.program.plan(prepared.settings, public)
    cluster.gather()
    # The model's second link is the one that is measured here.
    transcript.WAN = link
    session = SharedSession(Opening(shards, plan), cluster)
    begun = session.transcript.timelines[1].elapsed
    started = time.perf_counter()
    prepared.program(session, plan)
    measured = time.perf_counter() - started
    modelled = session.transcript.timelines[1].elapsed - begun
    return Timing(
        cell,
        link,
        measured,
        modelled,
        session.transcript.rounds,
        session.transcript.bytes,
    )


def named(cell: Cell) -> str:
    """What ran, in a table."""
    settings = "".join(f", {name} {value}" for name, value in cell.settings.items())
    return f"{cell.task}/{cell.program} {cell.technique} {cell.dataset}{settings}"


def table(timings: list[Timing]) -> str:
    """Markdown."""
    lines = [
        "| cell | link | bytes | rounds | measured | modelled | error |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for t in timings:
        link = f"{t.link.name}: {t.link.bits_per_s / 1e6:.0f} Mb/s, {t.link.latency_s * 1e3:g} ms"
        error = t.modelled_s / t.measured_s - 1
        lines.append(
            f"| {named(t.cell)} | {link} | {t.size / 1e6:.1f} MB "
            f"| {t.rounds} | {t.measured_s:.2f} s | {t.modelled_s:.2f} s | {error:+.0%} |"
        )
    return "\n".join(lines)


def record_error() -> None:
    """Keep for the report how far the model was off, by the tables of both benchmarks."""
    errors = []
    for page in (DOC, DOC.with_name("network.md")):
        rows = re.findall(r"\| ([\d.]+) s \| [\d.]+ s \| ([+-]\d+)% \|", page.read_text("utf-8"))
        errors += [abs(int(error)) for seconds, error in rows if float(seconds) > LONG_S]
    found = {"cells": len(errors), "over_s": LONG_S, "worst_percent": max(errors)}
    ERROR.write_text(json.dumps(found) + "\n", encoding="utf-8")


def main() -> None:
    """Measure all cells over all links."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOC.name}")
    options = parser.parse_args()
    if os.geteuid():
        sys.exit("network namespaces need root.")
    timings = []
    for cell in CELLS:
        for link in LINKS:
            timings.append(run(cell, link))
            print(table(timings[-1:]).splitlines()[-1], flush=True)
    if options.write:
        text = DOC.read_text(encoding="utf-8")
        head, _, rest = text.partition(BEGIN)
        DOC.write_text(
            f"{head}{BEGIN}\n{table(timings)}\n{END}{rest.partition(END)[2]}", encoding="utf-8"
        )
        record_error()


if __name__ == "__main__":
    main()
