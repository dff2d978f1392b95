"""Multiparty computation when links, parties or addresses fail: an end with a reason, soon."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpc_parties import (
    Nursery,
    Study,
    alive,
    connected,
    free_address,
    group,
    in_parallel,
    linked,
    nursery,
    wait_until,
)

from petlab.errors import ProtocolError, UsageError
from petlab.running import registry
from petlab.running.evaluator import evaluate
from petlab.running.result import Cell, Result, Status
from petlab.techniques.mpc import cluster as clusters
from petlab.techniques.mpc import party
from petlab.techniques.mpc.cluster import Cluster
from petlab.techniques.mpc.committee import Committee
from petlab.techniques.mpc.party import ANALYST_LINK
from petlab.techniques.mpc.technique import Settings
from petlab.techniques.mpc.traffic import hub as hubs
from petlab.techniques.mpc.traffic import links
from petlab.techniques.mpc.traffic.hub import Hub
from petlab.techniques.mpc.traffic.links import GREETING_S, Link, PeerLost
from petlab.techniques.mpc.traffic.meeting import AT_ONCE, Door

pytestmark = pytest.mark.slow

SOON_S = 15.0
"""Within this every failure has to be a row."""


@pytest.fixture(scope="module")
def parties() -> Iterator[Nursery]:
    """Where compute parties come from."""
    with nursery() as found:
        yield found


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Process groups that clusters start during a test: none is left after it."""
    leaders: list[int] = []
    start = Cluster._start

    def noting(self: Cluster) -> None:
        start(self)
        assert self._nursery is not None
        leaders.append(self._nursery.pid)

    monkeypatch.setattr(Cluster, "_start", noting)
    yield leaders
    wait_until(lambda: not any(map(group, leaders)))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> float:
    """Patience of this process, cut from ten seconds to one and a half."""
    monkeypatch.setattr(links, "SILENCE_S", 1.5)
    monkeypatch.setattr(hubs, "HEARTBEAT_S", 0.3)
    return 1.5


# Links.


def on(link: Link) -> socket.socket:
    """The socket below a link, for those who tamper."""
    return link._socket


def altered(frame: bytes) -> bytes:
    """One bit of the body is another."""
    return frame[:-5] + bytes([frame[-5] ^ 1]) + frame[-4:]


@pytest.mark.parametrize(
    "tamper",
    [
        lambda a, b: altered(a.sealed(b"message")),
        lambda a, b: a.sealed(b"first") * 2,
        lambda a, b: (a.sealed(b"first"), a.sealed(b"second"))[1],
        lambda a, b: b.sealed(b"reflected"),
        lambda a, b: b"\x00" * 8 + a.sealed(b"message"),
        lambda a, b: b"\xff" * 8 + a.sealed(b"message"),
        lambda a, b: a.sealed(b"message")[:-1],
        lambda a, b: altered(a.sealed(b"")),
    ],
    ids="altered replayed reordered reflected empty endless truncated heartbeat".split(),
)
def test_frame_that_was_tampered_with_is_refused(tamper: Callable[[Link, Link], bytes]) -> None:
    """Whatever somebody on the wire does, the receiver raises and reads no wrong message."""
    a, b = linked(*connected())
    on(a).sendall(tamper(a, b))
    a.close()
    with pytest.raises(ProtocolError):
        while True:
            assert b.receive() == b"first"  # of two equal frames the first is genuine
    b.close()


def test_messages_arrive_whole_in_order_and_unreadable_on_the_wire() -> None:
    """Of a byte, and larger than any buffer."""
    a, b = linked(*connected())
    sent = [b"x", os.urandom(3_000_000), b"y" * 1000]
    frame = a.sealed(b"plain text")
    assert b"plain" not in frame
    on(a).sendall(frame)
    assert b.receive() == b"plain text"

    def send() -> list[int]:
        return [a.send(message) for message in sent]

    sizes, received = in_parallel(send, lambda: [b.receive() for _ in sent])
    assert received == sent
    assert sizes == [len(message) + links.OVERHEAD for message in sent]
    a.close()
    b.close()


def test_heartbeats_are_no_messages() -> None:
    """They are skipped, however many there are, and keep a link alive."""
    a, b = linked(*connected())
    for _ in range(100):
        a.heartbeat()
    assert b.pending(0.1) is None
    a.heartbeat()
    a.send(b"message")
    a.heartbeat()
    assert b.receive() == b"message"
    assert b.pending(0.1) is None
    a.close()
    b.close()


@pytest.mark.parametrize(
    ("near", "far", "reason"),
    [
        ({"secret": b"1" * 32}, {"secret": b"2" * 32}, "do not share a study secret"),
        ({"expected": "c"}, {}, "reached 'b' where 'c' should be"),
        ({}, {"me": "a"}, "where None should be"),
    ],
    ids=["secret", "name", "namesake"],
)
def test_stranger_is_refused(near: dict[str, Any], far: dict[str, Any], reason: str) -> None:
    """Who does not know the secret, or has another name than the expected one."""
    ends, common = connected(), {"secret": b"s" * 32}
    found = in_parallel(
        lambda: Link(ends[0], **{**common, "me": "a", **near}),
        lambda: Link(ends[1], **{**common, "me": "b", **far}),
    )
    assert isinstance(found[0], ProtocolError)
    assert reason in str(found[0])
    assert isinstance(found[1], ProtocolError)
    assert ends[0].fileno() == ends[1].fileno() == -1  # both are closed


def test_greeting_that_comes_back_is_refused() -> None:
    """An echo would authenticate: it has the secret's owner compute every tag."""
    near, far = connected()

    def echo() -> None:
        far.settimeout(2)
        while data := far.recv(1000):
            far.sendall(data)

    found = in_parallel(lambda: Link(near, me="a", secret=b"s" * 32), echo)
    assert isinstance(found[0], ProtocolError)
    assert "reached 'a'" in str(found[0])


@pytest.mark.parametrize("said", [b"", bytes(range(64))], ids=["silence", "noise"])
def test_stranger_who_does_not_greet_is_refused(impatient: float, said: bytes) -> None:
    """Silence or noise: an error, after a while."""
    near, far = connected()
    far.sendall(said)
    with pytest.raises(ProtocolError):
        Link(near, me="a", secret=b"s" * 32)
    far.close()


def test_silent_peer_is_lost(impatient: float) -> None:
    """Neither messages nor heartbeats: after the patience it is an error, and not before."""
    a, b = linked(*connected())
    began = time.monotonic()
    with pytest.raises(PeerLost, match="a has been silent"):
        b.receive()
    assert 0.9 * impatient < time.monotonic() - began < impatient + 1.5
    a.close()
    with pytest.raises(PeerLost, match="closed"):
        b.receive()
    b.close()


def hub_pair() -> tuple[Hub, Hub]:
    """Two processes' hubs, in one process."""
    near, far = Hub("a"), Hub("b")
    a, b = linked(*connected())
    near.add(a)
    far.add(b)
    return near, far


def test_both_send_fifty_megabytes_at_the_same_time() -> None:
    """Neither waits for the other to read first, and both are logged."""
    near, far = hub_pair()
    payloads = {"a": os.urandom(50_000_000), "b": os.urandom(50_000_000)}
    found = in_parallel(
        lambda: near.exchange({"b": payloads["a"]}, ["b"], "opening"),
        lambda: far.exchange({"a": payloads["b"]}, ["a"], "opening"),
    )
    assert found[0] == {"b": payloads["b"]}
    assert found[1] == {"a": payloads["a"]}
    assert [(e.kind, e.size) for e in near.log] == [("send", 50_000_024), ("recv", 50_000_024)]
    near.close()
    far.close()


def test_peer_that_is_busy_is_waited_for(impatient: float) -> None:
    """It reads nothing for twice the patience, but its heart beats."""
    near, far = hub_pair()
    payload = os.urandom(30_000_000)

    def late() -> bytes:
        time.sleep(2 * impatient)
        return far.receive("a", "message")

    found = in_parallel(lambda: near.send("b", "message", payload), late)
    assert found == [None, payload]
    near.close()
    far.close()


@pytest.mark.parametrize("answered", [False, True])
def test_peer_that_stops_reading_is_lost(impatient: float, answered: bool) -> None:
    """Also when it has sent its own part of an exchange already."""
    near, far = Hub("a"), linked(*connected())
    near.add(far[0])
    if answered:
        far[1].send(b"its part")
    payload, began = os.urandom(30_000_000), time.monotonic()
    with pytest.raises(PeerLost, match="silent"):
        if answered:
            near.exchange({"b": payload}, ["b"], "opening")
        else:
            near.send("b", "message", payload)
    assert time.monotonic() - began < impatient + 3
    near.close()
    far[1].close()


# Cells whose parties fail.


def quick_cell(chosen: Settings | None = None, **more: Any) -> Cell:
    """A cell of a second, whose parties are started by it or called to an address."""
    given = {k: v for k, v in asdict(chosen or Settings()).items() if k in ADDRESSED}
    return Cell(
        "logreg", "outsourced", "mpc", "wdbc", settings={"outsourced_steps": 1, **given, **more}
    )


ADDRESSED = ("address", "secret_file", "compute_parties")


@pytest.fixture
def strike(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], dict[str, float]]:
    """Lets a signal hit one process of a cell in the middle of its run."""

    def arrange(victim: str, number: int) -> dict[str, float]:
        told, hit = [], dict[str, float]()
        command = Committee.command

        def striking(self: Committee, *arguments: Any, **given: Any) -> Any:
            told.append(self)
            if len(told) == 25:
                assert self.cluster._nursery is not None or victim != "nursery"
                mother = self.cluster._nursery
                pid = mother.pid if victim == "nursery" and mother else self.cluster.pids[victim]
                os.kill(pid, number)
                hit["at"] = time.monotonic()
            return command(self, *arguments, **given)

        monkeypatch.setattr(Committee, "command", striking)
        return hit

    return arrange


def assert_failed(result: Result, *reasons: str) -> None:
    """The cell is a failed row that says why."""
    assert result.status is Status.FAILED
    assert any(reason in str(result.reason) for reason in reasons), result.reason


def assert_free(address: str) -> None:
    """Nobody listens at an address any more."""
    host, port = address.split(":")
    socket.create_server((host, int(port))).close()


def test_cell_at_an_address_is_like_any_other(parties: Nursery, tmp_path: Path) -> None:
    """What the cells below do when nothing fails."""
    chosen = parties.settings(tmp_path)
    result = evaluate(quick_cell(chosen))
    assert result.status is Status.OK, result.reason
    assert_free(chosen.address)


@pytest.mark.parametrize("victim", ["party-1", "party-2", "dealer"])
def test_killed_party_fails_its_cell_and_no_other(
    parties: Nursery, tmp_path: Path, strike: Any, victim: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, by its name; the others leave, the port is free, and the next cell is well."""
    chosen, hit = parties.settings(tmp_path), strike(victim, signal.SIGKILL)
    pids = parties.pids[-3:]
    result = evaluate(quick_cell(chosen))
    assert time.monotonic() - hit["at"] < 5
    assert_failed(result, f"{victim} closed its link", f"the link to {victim} broke")
    wait_until(lambda: not any(map(alive, pids)))
    assert_free(chosen.address)
    monkeypatch.undo()
    again = evaluate(quick_cell(parties.settings(tmp_path)))
    assert again.status is Status.OK, again.reason


@pytest.mark.parametrize("victim", ["party-1", "party-2", "dealer"])
def test_hung_party_fails_its_cell(
    parties: Nursery, tmp_path: Path, strike: Any, victim: str, impatient: float
) -> None:
    """Silence is noticed by whoever waits for it; patience is cut short here."""
    chosen = parties.settings(tmp_path, silence_s=impatient)
    hit, pids = strike(victim, signal.SIGSTOP), dict(zip(NAMES, parties.pids[-3:], strict=True))
    result = evaluate(quick_cell(chosen))
    assert time.monotonic() - hit["at"] < impatient + 4
    assert_failed(result, f"{victim} has been silent for 1.5 s")
    os.kill(pids[victim], signal.SIGKILL)
    wait_until(lambda: not any(map(alive, pids.values())))


NAMES = ("party-1", "party-2", "dealer")


@pytest.mark.parametrize(
    ("victim", "number", "reasons"),
    [
        ("party-2", signal.SIGSTOP, ["party-2 has been silent for 10 s"]),
        ("nursery", signal.SIGKILL, ["closed its link", "broke"]),
    ],
    ids=["hung", "nursery"],
)
def test_processes_that_the_cell_started_are_gone_after_it_failed(
    strike: Any, victim: str, number: int, reasons: list[str], started: list[int]
) -> None:
    """With the patience that users have."""
    hit = strike(victim, number)
    result = evaluate(quick_cell())
    assert time.monotonic() - hit["at"] < SOON_S
    assert_failed(result, *reasons)
    assert len(started) == 1
    wait_until(lambda: not group(started[0]))


def test_party_that_dies_before_all_have_met_is_noticed(parties: Nursery) -> None:
    """Between the greeting and the first command, while the others wait for its call."""
    cluster = parties.cluster()
    cluster.gather()
    os.kill(cluster.pids["party-2"], signal.SIGKILL)
    began = time.monotonic()
    with pytest.raises(ProtocolError, match="party-2"):
        Study(cluster)
    assert time.monotonic() - began < SOON_S
    pids = list(cluster.pids.values())
    # The dealer tried to reach party-2, until the coordinator left.
    wait_until(lambda: not any(map(alive, pids)))


def test_party_that_never_comes_fails_its_cell(
    parties: Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the time that parties have to meet, and by their number."""
    monkeypatch.setattr(clusters, "MEETING_S", 1.5)
    address, secret = free_address(), os.urandom(32)
    (tmp_path / "secret").write_bytes(secret)
    there = parties.start(0, 2, address, secret)
    settings = Settings(address=address, secret_file=str(tmp_path / "secret"))
    assert_failed(evaluate(quick_cell(settings)), "2 of the parties did not come in 1.5 s")
    assert "coordinator" in parties.note(there)
    assert_free(address)


def test_coordinator_that_is_not_there_is_an_error_at_the_party(parties: Nursery) -> None:
    """Who starts a party for nothing is told."""
    pid = parties.start(0, 2, free_address(), os.urandom(32), meeting_s=0.5)
    assert "the coordinator cannot be reached" in parties.note(pid)


@pytest.mark.parametrize(
    ("calls", "reason"),
    [
        ([(0, 3)], "rank 0 expects 3 compute parties, not 2"),
        ([(5, 2)], "rank 5 is taken or out of place"),
        ([(-1, 2)], "rank -1 is taken or out of place"),
        ([(0, 2), (0, 2)], "rank 0 is taken or out of place"),
    ],
    ids=["world", "rank", "negative", "twice"],
)
def test_party_with_wrong_arguments_is_refused(
    parties: Nursery, tmp_path: Path, calls: list[tuple[int, int]], reason: str
) -> None:
    """Both ends say why, and the cell fails with it."""
    address, secret = free_address(), os.urandom(32)
    (tmp_path / "secret").write_bytes(secret)
    pids = [parties.start(rank, size, address, secret) for rank, size in calls]
    settings = Settings(address=address, secret_file=str(tmp_path / "secret"))
    assert_failed(evaluate(quick_cell(settings)), reason)
    assert any(reason in parties.note(pid) for pid in pids)
    assert_free(address)


def test_party_with_a_wrong_secret_is_refused(
    parties: Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so itself; here it is one stranger among others, whom nothing ends for."""
    monkeypatch.setattr("petlab.techniques.mpc.cluster.MEETING_S", 6.0)
    address = free_address()
    (tmp_path / "secret").write_bytes(os.urandom(32))
    pid = parties.start(0, 2, address, os.urandom(32))
    settings = Settings(address=address, secret_file=str(tmp_path / "secret"))
    assert_failed(evaluate(quick_cell(settings)), "did not know the study secret")
    assert "do not share a study secret" in parties.note(pid)


def test_party_of_another_engine_is_refused(parties: Nursery) -> None:
    """Shares of one library's protocols mean nothing to the other's."""
    address, secret = free_address(), os.urandom(32)
    cluster = Cluster(2, third_dealer=False, address=address, secret=secret, engine="spu")
    pid = parties.start(0, 2, address, secret)
    with pytest.raises(ProtocolError, match="rank 0 runs crypten, not spu"):
        cluster.gather()
    assert "rank 0 runs crypten, not spu" in parties.note(pid)


def bother(address: tuple[str, int], said: bytes) -> socket.socket:
    """Call a port, say something, and stay on the line."""
    visitor = socket.create_connection(address, timeout=5)
    visitor.sendall(said)
    return visitor


@pytest.mark.parametrize("before", [[], [b"=" + bytes(8)], [b"=" + bytes(8), b'{"cpu_s": 1}']])
@pytest.mark.parametrize("lost", [True, False])
def test_replies_do_not_hide_why_a_party_failed(before: list[bytes], lost: bool) -> None:
    """What it answered before lies in front of its report, and its link is closed behind it."""
    cluster = Cluster(2, third_dealer=False)
    cluster.gather()
    for link in cluster._hub.links.values():
        link.close()
    theirs = {}
    for name in ("party-1", "party-2"):
        ours, theirs[name] = linked(*connected())
        ours.peer = name
        cluster._hub.add(ours)
    for payload in before:
        theirs["party-2"].send(payload)
    theirs["party-2"].send(json.dumps({"failed": "no memory left", "lost": lost}).encode())
    theirs["party-2"].close()
    with pytest.raises(ProtocolError, match="party-2: no memory left"):
        for _ in range(3):  # what the party waited for was somebody else's answer
            cluster._receive("party-1")
    cluster.close()
    theirs["party-1"].close()


NOISE = {"silence": b"", "a word": b"GET /", "noise": os.urandom(64), "much": os.urandom(5000)}


def test_strangers_at_a_door_keep_nobody_out() -> None:
    """They hold their lines, each of them, and a peer that knows the secret comes in."""
    secret = os.urandom(32)
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    address = listener.getsockname()[:2]
    door = Door(listener, me="a", secret=secret)
    visitors = [bother(address, said) for said in (*NOISE.values(), *NOISE.values())]
    visitors.append(bother(address, b"gone"))
    visitors[-1].close()
    peer = Link(socket.create_connection(address), me="b", secret=secret, expected="a")
    link = door.entered(GREETING_S)
    assert link is not None and link.peer == "b"
    peer.send(b"hello")
    assert link.receive() == b"hello"
    for end in (peer, link, door, *visitors):
        end.close()


def test_a_door_that_is_closed_at_once_leaves_open_who_came_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last peer is taken and the door closed before its greeter has looked up."""
    secret = os.urandom(32)
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()[:2]
    door = Door(listener, me="a", secret=secret)
    put, taken = door._inside.put, []

    def taking(link: Link) -> None:
        put(link)
        taken.append(door.entered(1.0))
        door.close()

    monkeypatch.setattr(door._inside, "put", taking)
    peer = Link(socket.create_connection(address), me="b", secret=secret, expected="a")
    wait_until(lambda: bool(taken) and not door._places._value < AT_ONCE)
    time.sleep(0.2)
    peer.send(b"hello")
    assert taken[0] is not None and taken[0].receive() == b"hello"
    for end in (peer, taken[0]):
        end.close()


def test_strangers_at_the_coordinators_port_end_nothing() -> None:
    """They call all the time while the parties meet, and the run goes on as without them."""
    cluster = Cluster(2, third_dealer=False)
    visitors = [bother(cluster._address, said) for said in NOISE.values()]
    cluster.gather()
    assert sorted(cluster.pids) == ["party-1", "party-2"]
    cluster.connect()
    cluster.close()
    for visitor in visitors:
        visitor.close()


def test_a_party_listens_where_its_coordinator_is_reached() -> None:
    """On one machine that is loopback, where no other machine can call."""
    secret = os.urandom(32)
    listener = socket.create_server(("127.0.0.1", 0))
    door = Door(listener, me=ANALYST_LINK, secret=secret)
    host, port = listener.getsockname()[:2]
    hub = Hub("party-1")
    ours = party._greet(hub, party.Arguments(0, 2, f"{host}:{port}", secret))
    assert ours._listener.getsockname()[0] == "127.0.0.1"
    link = door.entered(GREETING_S)
    assert link is not None
    assert json.loads(link.receive())["host"] == "127.0.0.1"
    for end in (ours, door, link, hub):
        end.close()


@pytest.mark.parametrize("technique", ["mpc", "tee", "fl+mpc"])
def test_children_import_nothing_from_the_working_folder(technique: str, tmp_path: Path) -> None:
    """A file that lies there under the name of a library runs in none of them."""
    marker = tmp_path / "ran"
    for name in ("resource", "ctypes", "hmac", "struct", "secrets", "socket"):
        (tmp_path / f"{name}.py").write_text(f"open({str(marker)!r}, 'w')\n")
    command = [sys.executable, "-P", "-m", "petlab", "run", "--task", "chi2", "--dataset", "apoe"]
    done = subprocess.run(
        [*command, "--technique", technique], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert not marker.exists()


def test_address_that_is_taken_is_a_usage_error(tmp_path: Path) -> None:
    """Before any data is read by anybody, and so is one that does not exist here."""
    (tmp_path / "secret").write_bytes(os.urandom(32))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for address in (f"127.0.0.1:{taken.getsockname()[1]}", "192.0.2.1:1234"):
            settings = Settings(address=address, secret_file=str(tmp_path / "secret"))
            with pytest.raises(UsageError, match="cannot listen at"):
                evaluate(quick_cell(settings))


@pytest.mark.parametrize("address", ["nowhere", "host:", ":99", "host:99999", "host:port"])
def test_address_that_is_none_is_a_usage_error(tmp_path: Path, address: str) -> None:
    """It is HOST:PORT."""
    (tmp_path / "secret").write_bytes(os.urandom(32))
    settings = Settings(address=address, secret_file=str(tmp_path / "secret"))
    with pytest.raises(UsageError, match="HOST:PORT"):
        evaluate(quick_cell(settings))


@pytest.mark.parametrize("content", [None, b"short", bytes(33)])
def test_secret_that_is_none_is_a_usage_error(tmp_path: Path, content: bytes | None) -> None:
    """A file of 32 bytes has to be there."""
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match="secret"):
        evaluate(quick_cell(Settings(address=free_address(), secret_file=str(path))))


def test_wrong_usage_after_the_start_leaves_no_processes(started: list[int]) -> None:
    """The technique was warmed up when the cell turned out to ask for the impossible."""
    with pytest.raises(UsageError, match="data owner"):
        evaluate(Cell("logreg", "score", "mpc", "wdbc", parties=2))
    gc.collect()
    assert len(started) == 1
    wait_until(lambda: not group(started[0]))


def test_technique_works_again_after_its_parties_failed(
    parties: Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same object, once its parties have come."""
    address, secret = free_address(), os.urandom(32)
    (tmp_path / "secret").write_bytes(secret)
    technique = registry.find_technique(
        "mpc", {"address": address, "secret_file": str(tmp_path / "secret")}
    )
    monkeypatch.setattr(clusters, "MEETING_S", 0.3)
    with pytest.raises(ProtocolError, match="did not come"):
        technique.warm_up()
    monkeypatch.undo()
    for rank in range(3):
        parties.start(rank, 2, address, secret)
    technique.warm_up()
    del technique
    gc.collect()


COORDINATOR = """
import sys, time
from petlab.techniques.mpc.cluster import Cluster
cluster = Cluster(2, third_dealer=True)
cluster.connect()
print(cluster._nursery.pid, flush=True)
time.sleep(60)
"""


def test_killed_coordinator_leaves_no_processes() -> None:
    """It had no chance to end them itself."""
    coordinator = subprocess.Popen([sys.executable, "-c", COORDINATOR], stdout=subprocess.PIPE)
    assert coordinator.stdout is not None
    leader = int(coordinator.stdout.readline())
    assert len(group(leader)) == 4
    coordinator.kill()
    coordinator.wait()
    coordinator.stdout.close()
    wait_until(lambda: not group(leader))


def test_party_that_errs_says_what_went_wrong(parties: Nursery) -> None:
    """Its own words reach the program, not what the others make of its leaving."""
    study = Study(parties.cluster(3))
    x = study.share(np.ones((2, 2)))
    study.session.committee.command("no such thing", [x.handle], 20, bound=1.0, shapes=[x.shape])
    with pytest.raises(ProtocolError, match="know no command 'no such thing'"):
        study.read(x * x)
    study.close()
    wait_until(lambda: not any(map(alive, study.cluster.pids.values())))
