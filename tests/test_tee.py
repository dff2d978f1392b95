"""Trusted execution: the answer, what the host sees of it, its walls, and how it ends."""

from __future__ import annotations

import gc
import importlib.machinery
import importlib.util
import marshal
import os
import py_compile
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpc_parties import alive, wait_until
from tee_machines import (
    PROBE,
    Study,
    family,
    memory_holds,
    needles,
    opening_of,
    values_of,
    written_since,
)
from threadpoolctl import threadpool_limits

from petlab import tasks
from petlab.attacks.enclave.memory_reading import REFUSED, read_memory, search_in
from petlab.core.party import Shard
from petlab.core.plan import Public
from petlab.core.session import Opening
from petlab.core.task import Program
from petlab.core.technique import Run
from petlab.errors import PetlabError, ProtocolError
from petlab.metering import wire
from petlab.running.evaluator import evaluate
from petlab.running.registry import find_task, find_technique
from petlab.running.result import Cell, Status
from petlab.techniques.tee import errors
from petlab.techniques.tee.attestation import Manufacturer
from petlab.techniques.tee.deployment import Machine
from petlab.techniques.tee.entry import Measured
from petlab.techniques.tee.isolation import NAMESPACES, wrapped
from petlab.techniques.tee.liveness import BEAT_S
from petlab.techniques.tee.measurement import measure

pytestmark = pytest.mark.slow

SOON_S = 15.0
"""Within this every failure has to be a row."""
RUNS: Mapping[tuple[str, str], dict[str, Any]] = {
    ("chi2", "sums"): {},
    ("chi2", "linked"): {},
    ("elm", "sums"): {"hidden": 10},
    ("elm", "outsourced"): {"hidden": 10},
    ("logreg", "sums"): {"iterations": 3},
    ("logreg", "outsourced"): {"outsourced_steps": 2},
    ("deep", "sums"): {"epochs": 2, "hidden": "4"},
    ("deep", "outsourced"): {"epochs": 2, "hidden": "4"},
}
EVERY = pytest.mark.parametrize(("task", "program"), RUNS)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only an administrator can look")


class Delivered:
    """One run in an enclave, and everything that its host saw."""

    def __init__(self, opening: Opening, program: Program) -> None:
        study = Study(opening, program)
        self.keys = [key.private_bytes_raw() for key in study.parties._owners.values()]
        self.keys.append(study.parties._analyst.private_bytes_raw())
        self.opening, self.run = opening, study.delivery.run(study.program)
        self.seen = study.seen()
        study.machine.close()


@cache
def started() -> dict[tuple[str, str], Future[Delivered]]:
    """All runs, two at a time: mostly they wait for processes that import libraries."""
    pool = ThreadPoolExecutor(2)
    found = {}
    for (task, program), chosen in RUNS.items():
        opening = opening_of(task, program, **chosen)
        found[task, program] = pool.submit(Delivered, opening, find_task(task).programs[program])
    noisy = replace(opening_of("chi2", "sums"), release=None)
    release = find_technique("tee+dp", {"epsilon": 0.7}).release
    for k in range(2):
        opening = replace(noisy, release=release(noisy.plan))
        found["noisy", str(k)] = pool.submit(Delivered, opening, find_task("chi2").programs["sums"])
    pool.shutdown(wait=False)
    return found


def delivered(task: str, program: str) -> Delivered:
    """The same run for every test that looks at it."""
    return started()[task, program].result()


@EVERY
def test_answer_is_bit_for_bit_that_of_the_clear(task: str, program: str) -> None:
    """The enclave computes what anybody would compute: the wall around it changes no digit."""
    found = delivered(task, program)
    with threadpool_limits(limits=1):
        clear = find_technique("cleartext").execute(
            find_task(task).programs[program], found.opening
        )
    assert found.run.answer.values.keys() == clear.answer.values.keys()
    assert found.run.answer.notes == clear.answer.notes
    for name, value in clear.answer.values.items():
        assert np.array_equal(found.run.answer[name], value, equal_nan=True), name
    if task == "deep":
        assert np.abs(clear.answer["weights"]).max() > 0


@EVERY
def test_host_sees_neither_records_nor_answer_nor_keys(task: str, program: str) -> None:
    """Of all that went through it: ciphertext, public keys, and the agreed configuration."""
    found = delivered(task, program)
    sent = sum(v.nbytes for shard in found.opening.shards for v in shard.arrays.values())
    assert len(found.seen) > sent
    for shard in found.opening.shards:
        wanted = list(needles(dict(shard.arrays)))
        assert wanted
        assert not any(needle in found.seen for needle in wanted)
    assert not any(value in found.seen for value in values_of(found.run.answer))
    for key in found.keys:
        assert key not in found.seen
        assert key.hex().encode() not in found.seen


@EVERY
def test_costs_and_phases_are_those_of_the_whole_run(task: str, program: str) -> None:
    """Attestation is booked before the data is there; every message is counted."""
    run = delivered(task, program).run
    owners = len(delivered(task, program).opening.shards)
    assert set(run.phases) == {"setup", "protect", "compute", "reveal"}
    assert run.phases["setup"]["when"] == "offline"
    assert {run.phases[name]["when"] for name in ("protect", "compute", "reveal")} == {"online"}
    assert run.costs["offline_s"].value == run.phases["setup"]["wall_s"] > 0
    total = sum(phase["wall_s"] for phase in run.phases.values())
    assert run.costs["wall_s"].value == pytest.approx(total)
    # A key and a quote for everybody, records from every owner, configuration and answer.
    assert run.costs["messages"].value == 4 * (owners + 1) + owners + 2
    assert run.costs["bytes"].value == sum(m.size for m in run.transcript.messages)
    assert run.costs["expansion"].value > 1
    assert {m.receiver for m in run.transcript.messages if "records" in m.label} == {"host"}
    for kind in ("sgx", "confidential_vm"):
        low, high = (run.costs[f"{kind}_added_{end}_s"] for end in ("low", "high"))
        assert low.source == high.source == "modelled"
        assert low.value <= high.value


def test_guarantee_names_the_walls_that_really_stand() -> None:
    """As the enclave process itself found them."""
    guarantee = delivered("chi2", "sums").run.guarantee
    assert guarantee.kind == "hardware"
    assert guarantee.trusted == ("chip maker", "enclave")
    assert guarantee.security_bits == 128
    assert "simulation" in guarantee.not_protected
    assert "process: " in guarantee.mechanism


# The process.


@pytest.fixture(scope="module")
def provisioned() -> Iterator[Study]:
    """A study whose enclave holds all records, and whose owners' secrets are in the environment."""
    os.environ["PETLAB_TEST_SECRET"] = "a secret of the owners"
    study = Study(opening_of("elm", "sums", hidden=10), find_task("elm").programs["sums"])
    del os.environ["PETLAB_TEST_SECRET"]
    study.launch()
    study.provision_all()
    yield study
    study.machine.close()


def test_search_finds_records_that_are_not_sealed(provisioned: Study) -> None:
    """Else it would prove nothing that it finds none: the same relay, the same search."""
    shard = provisioned.shards[0]
    wanted = list(needles(dict(shard.arrays)))
    assert not any(needle in provisioned.seen() for needle in wanted)
    with pytest.raises(errors.Replayed):
        provisioned.provision(shard.owner, wire.pack(shard.arrays))
    seen = provisioned.seen()
    assert sum(needle in seen for needle in wanted) >= len(wanted) // 2


@as_root
def test_enclave_process_inherits_nothing(provisioned: Study) -> None:
    """No secret of the environment, and no descriptor but its two channels and null."""
    host, *_, enclave = family(provisioned.machine.pid)
    assert b"PETLAB_TEST_SECRET" in Path(f"/proc/{host}/environ").read_bytes()
    variables = Path(f"/proc/{enclave}/environ").read_bytes().rstrip(b"\0").split(b"\0")
    names = {variable.partition(b"=")[0].decode() for variable in variables}
    assert names <= {"PATH", "PWD", "LANG", "OMP_NUM_THREADS", "VIRTUAL_ENV", "LD_LIBRARY_PATH"}
    assert not any(v.startswith(b"PWD=") and v != b"PWD=/" for v in variables)
    links = [os.readlink(path) for path in Path(f"/proc/{enclave}/fd").iterdir()]
    sockets = [link for link in links if link.startswith("socket:")]
    assert len(sockets) == len(set(sockets)) == 2
    assert set(links) - set(sockets) == {"/dev/null"}


@as_root
def test_walls_show_from_outside(provisioned: Study) -> None:
    """What the guarantee says of the process, the kernel says, too."""
    enclave = family(provisioned.machine.pid)[-1]
    held = delivered("elm", "sums").run.guarantee.mechanism.partition("process: ")[2].split(", ")
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{enclave}/status").read_text().splitlines()
    )
    limits = Path(f"/proc/{enclave}/limits").read_text().splitlines()
    network = os.readlink(f"/proc/{enclave}/ns/net")
    apart = {os.readlink(f"/proc/{pid}/ns/pid") for pid in (enclave, os.getpid())}
    assert (len(apart) == 2) == (NAMESPACES in held)
    assert (network != os.readlink("/proc/self/ns/net")) == ("no network" in held)
    assert (status["Seccomp"] == "2") == ("system calls filtered" in held)
    assert (int(status["VmLck"].split()[0]) > 0) == ("memory locked" in held)
    assert status["NoNewPrivs"] == "1"
    for name in ("Max core file size", "Max file size"):
        assert next(line for line in limits if line.startswith(name)).split()[-3:-1] == ["0", "0"]


@as_root
def test_administrator_can_read_the_records_in_memory(provisioned: Study) -> None:
    """The limit of the simulation, as documented: a process is no hardware."""
    wanted = next(needles(dict(provisioned.shards[1].arrays)))
    host, *_, enclave = family(provisioned.machine.pid)
    assert memory_holds(enclave, wanted)
    assert not memory_holds(host, wanted)


def test_memory_reading_shows_what_this_user_may_read() -> None:
    """An administrator recovers every other record from the enclave alone; others are refused."""
    found = read_memory("heart")
    looks = {(look.reader, look.process): look for look in found.looks}
    enclaves = [look for look in found.looks if look.process == "enclave"]
    if os.geteuid() != 0:
        assert [look.outcome for look in enclaves] == [REFUSED]
        assert found.recovered is None
        return
    assert found.recovered == found.records - 1 > 100
    assert looks["another user", "enclave"].outcome == REFUSED
    assert looks["administrator (root)", "enclave"].places >= 1
    for relay in ("host", "device"):
        assert looks["administrator (root)", relay].places == 0
    assert f"read {found.records - 1} of" in found.sentence


def test_search_of_memory_counts_only_equal_records() -> None:
    """A record that differs in one bit was not recovered."""
    records = np.random.default_rng(0).normal(size=(9, 5))
    held = records.copy()
    held[4, 2] = np.nextafter(held[4, 2], np.inf)
    found = search_in([b"odd" + held.tobytes() + b"more"], records)
    assert (found.places, found.others) == (1, 7)
    assert search_in([b"nothing"], records).places == 0


@pytest.fixture
def probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A module of programs that lies in a further folder of tasks."""
    (tmp_path / "probe.py").write_text(PROBE)
    monkeypatch.setattr(tasks, "__path__", [*tasks.__path__, str(tmp_path)])
    yield importlib.import_module("petlab.tasks.probe")
    del sys.modules["petlab.tasks.probe"]


def probed(probe: Any, name: str, path: str = "") -> Run:
    """Run one of the probe's programs in an enclave of its own, over three odd records."""
    program = getattr(probe, name)
    shards = [Shard(f"owner-{k + 1}", 3, {"x": np.full(3, 4711.25 + k)}) for k in range(2)]
    study = Study(Opening(shards, program.plan(probe.Settings(path), Public(owners=2))), program)
    try:
        return study.delivery.run(program)
    finally:
        study.machine.close()


def test_walls_hold_from_inside(probe: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """A program that tries finds no network, no other program, no file to write, no secret."""
    monkeypatch.setenv("OWNERS_SECRET", "a secret")
    (tmp_path.parent / "elsewhere").write_text("the host's")
    run = probed(probe, "attempts", str(tmp_path / "leak"))
    failed = dict(zip((a.__name__ for a in probe.ATTEMPTS), run.answer["failed"], strict=True))
    held = run.guarantee.mechanism.partition("process: ")[2].split(", ")
    assert "nothing written to files" in held
    expected = {"new_file"}
    leaked = tmp_path / "leak"
    assert not leaked.exists() or leaked.read_bytes() == b""
    if "system calls filtered" in held:
        expected |= {"tcp", "unix", "other_program", "parents_memory", "mount"}
    if NAMESPACES in held:
        expected |= {"hosts_file"}
    assert {name for name, refused in failed.items() if refused} >= expected
    assert run.answer["secrets"] == 0


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_bubblewrap_is_used_where_it_works() -> None:
    """Every wall of the list stands, memory locked within bubblewrap's, too, for a root."""
    mechanism = delivered("elm", "sums").run.guarantee.mechanism
    assert (NAMESPACES in mechanism) == (wrapped(["true"], []) != ["true"])
    if NAMESPACES in mechanism and os.geteuid() == 0:
        assert "memory locked" in mechanism


def test_bubblewrap_that_does_not_work_is_left_out(tmp_path: Path, monkeypatch: Any) -> None:
    """A container may have the program, but not the right to use it: cells run all the same."""
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert wrapped(["python", "x"], [tmp_path]) == ["python", "x"]
    machine = Machine(Manufacturer())
    machine.wait()
    assert len(family(machine.pid)) == 3
    machine.close()


def test_cached_byte_code_is_not_what_runs(probe: Any, tmp_path: Path) -> None:
    """Byte code with the date and size of the measured source, and another program in it."""
    source = tmp_path / "probe.py"
    other = PROBE.replace("np.array(len(secrets))", "np.array(len(ATTEMPTS))")
    assert other != PROBE
    cached = Path(importlib.util.cache_from_source(str(source)))
    cached.parent.mkdir(exist_ok=True)
    stat = source.stat()
    code = compile(other, str(source), "exec")
    head = importlib.util.MAGIC_NUMBER + struct.pack("<III", 0, int(stat.st_mtime), stat.st_size)
    cached.write_bytes(head + marshal.dumps(code))
    loader = importlib.machinery.SourceFileLoader("petlab.tasks.probe", str(source))
    assert loader.get_code("petlab.tasks.probe") == code  # what Python would have run
    assert probed(probe, "attempts", str(tmp_path / "leak")).answer["secrets"] == 0


def test_module_without_a_source_is_refused(tmp_path: Path) -> None:
    """Byte code alone cannot be measured."""
    (tmp_path / "ghost.py").write_text("x = 1")
    py_compile.compile(str(tmp_path / "ghost.py"), str(tmp_path / "ghost.pyc"))
    assert Measured.find_spec("petlab.tasks.ghost", [str(tmp_path)]) is not None
    (tmp_path / "ghost.py").unlink()
    importlib.invalidate_caches()
    with pytest.raises(ImportError, match="no source"):
        Measured.find_spec("petlab.tasks.ghost", [str(tmp_path)])


def test_error_in_the_enclave_says_what_kind_and_not_which_record(probe: Any) -> None:
    """A library's error may quote a record: its text does not leave."""
    with pytest.raises(ProtocolError) as raised:
        probed(probe, "indiscreet")
    assert str(raised.value) == "inside the enclave: ValueError"


def test_host_that_answers_nonsense_is_an_error_of_petlabs(provisioned: Study) -> None:
    """Whatever it says that the enclave refused, and why."""
    machine, channel = provisioned.machine, provisioned.machine._channel

    class Nonsense:
        def send(self, head: dict[str, Any], body: bytes) -> None:
            self.claim = head["claim"]

        def receive(self) -> Any:
            return {"refused": self.claim, "reason": "because"}, b""

    for claim, kind in [
        ("annotations", ProtocolError),
        ("Exception", ProtocolError),
        ("no such error", ProtocolError),
        ("RolledBack", errors.RolledBack),
    ]:
        machine._channel = Nonsense()  # type: ignore[assignment]
        with pytest.raises(PetlabError, match="because") as raised:
            machine.ask({"claim": claim})
        machine._channel = channel
        assert raised.type is kind


# With differential privacy.


def test_noise_is_drawn_inside_and_anew() -> None:
    """Two runs differ from each other and from the exact table, by whole numbers."""
    exact = delivered("chi2", "sums").run.answer["table"]
    tables = [exact, *(delivered("noisy", str(k)).run.answer["table"] for k in range(2))]
    for k, left in enumerate(tables):
        assert np.array_equal(left, np.rint(left))
        assert not any(np.array_equal(left, right) for right in tables[:k])


def test_guarantee_states_the_epsilon_that_was_asked_for() -> None:
    """And that the enclave adds the noise."""
    guarantee = delivered("noisy", "0").run.guarantee
    assert guarantee.epsilon == pytest.approx(0.7)
    assert set(guarantee.kind.split("+")) == {"hardware", "output"}
    assert "noise by the enclave" in guarantee.mechanism
    assert guarantee.trusted == ("chip maker", "enclave")


def test_epsilon_is_part_of_the_measurement() -> None:
    """An owner that agreed to 1 refuses an enclave that would spend 10."""
    found = set()
    for epsilon in (1.0, 10.0):
        technique = find_technique("tee+dp", {"epsilon": epsilon})
        opening = opening_of("chi2", "sums")
        opening = replace(opening, release=technique.release(opening.plan))
        study = Study(opening, find_task("chi2").programs["sums"])
        agreed = replace(study.agreed, analyst="00" * 32, owners={})
        assert agreed.release is not None
        assert agreed.release[1]["epsilon"] == epsilon
        found.add(measure(agreed.to_json(), agreed.modules))
        study.machine.close()
    assert len(found) == 2


# Ends.


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Hosts of the machines that a test starts: none is left after it."""
    hosts: list[int] = []
    start = Machine.__init__

    def noting(self: Machine, manufacturer: Manufacturer) -> None:
        start(self, manufacturer)
        hosts.append(self.pid)

    monkeypatch.setattr(Machine, "__init__", noting)
    yield hosts
    wait_until(lambda: not any(map(alive, hosts)))


def endless() -> Cell:
    """A cell whose enclave computes for a minute."""
    chosen = {"method": "gradient", "iterations": 200_000}
    return Cell("logreg", "sums", "tee", "wdbc", settings=chosen)


@pytest.mark.parametrize("victim", ["host", "device", "enclave"])
def test_killed_process_fails_its_cell_and_leaves_nothing(
    victim: str, machines: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of the run: a row with a reason, soon, no process, no record on disk."""
    ask, struck = Machine.ask, dict[str, Any]()

    def strike(host: int) -> None:
        members = family(host)
        struck["family"], struck["at"] = members, time.monotonic()
        os.kill({"host": host, "device": members[1], "enclave": members[-1]}[victim], 9)

    def asking(self: Machine, head: dict[str, Any], body: bytes = b"") -> Any:
        if head["do"] == "run":
            threading.Timer(0.3, strike, [self.pid]).start()
        return ask(self, head, body)

    monkeypatch.setattr(Machine, "ask", asking)
    begun = time.time()
    result = evaluate(endless())
    assert time.monotonic() - struck["at"] < SOON_S
    assert result.status is Status.FAILED
    assert "ended" in str(result.reason)
    assert len(struck["family"]) >= 3
    wait_until(lambda: not any(map(alive, struck["family"])))
    records = opening_of("logreg", "sums").shards[0]["features"]
    wanted = [record.tobytes() for record in records[:5]]
    for content in written_since(begun, tempfile.gettempdir(), "/dev/shm"):
        assert not any(needle in content for needle in wanted)


@pytest.mark.parametrize("victim", ["host", "device", "enclave"])
def test_stopped_process_fails_its_cell_and_leaves_nothing(
    victim: str, machines: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is stopped, not ended, closes no socket: the cell fails all the same."""
    ask, struck = Machine.ask, dict[str, Any]()

    def strike(host: int) -> None:
        members = family(host)
        struck["family"], struck["at"] = members, time.monotonic()
        chosen = {"host": host, "device": members[1], "enclave": members[-1]}[victim]
        os.kill(chosen, signal.SIGSTOP)

    def asking(self: Machine, head: dict[str, Any], body: bytes = b"") -> Any:
        if head["do"] == "run":
            threading.Timer(0.3, strike, [self.pid]).start()
        return ask(self, head, body)

    monkeypatch.setattr(Machine, "ask", asking)
    result = evaluate(endless())
    assert time.monotonic() - struck["at"] < SOON_S
    assert result.status is Status.FAILED
    assert victim in str(result.reason)
    assert "stopped" in str(result.reason)
    wait_until(lambda: not any(map(alive, struck["family"])))


def test_short_stop_is_waited_out(machines: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """An enclave that goes on after a moment answers, and its answer is taken."""
    ask = Machine.ask

    def asking(self: Machine, head: dict[str, Any], body: bytes = b"") -> Any:
        if head["do"] == "run":
            enclave = family(self.pid)[-1]
            os.kill(enclave, signal.SIGSTOP)
            threading.Timer(1.5 * BEAT_S, os.kill, [enclave, signal.SIGCONT]).start()
        return ask(self, head, body)

    monkeypatch.setattr(Machine, "ask", asking)
    result = evaluate(Cell("elm", "sums", "tee", "wdbc", settings={"hidden": 10}))
    assert result.status is Status.OK, result.reason
    assert result.costs["wall_s"].value > BEAT_S


def test_cell_after_a_failed_one_is_well(machines: list[int]) -> None:
    """And its processes are gone when it is done."""
    result = evaluate(Cell("elm", "sums", "tee", "wdbc", settings={"hidden": 10}))
    assert result.status is Status.OK, result.reason
    assert len(machines) == 1
    wait_until(lambda: len(family(machines[0])) == 1 and not alive(machines[0]))


def test_lost_machine_ends_its_processes() -> None:
    """Who forgets to close it leaves nothing behind, descriptors neither."""
    before = set(os.listdir("/proc/self/fd"))
    machine = Machine(Manufacturer())
    machine.wait()
    found = family(machine.pid)
    assert len(found) >= 3
    del machine
    gc.collect()
    wait_until(lambda: not any(map(alive, found)))
    assert set(os.listdir("/proc/self/fd")) <= before


def test_machine_that_is_closed_says_so() -> None:
    """It does not read whatever has its descriptor's number next."""
    machine = Machine(Manufacturer())
    machine.close()
    with pytest.raises(ProtocolError):
        machine.ask({"to": "host", "do": "seen"})
    machine.close()


COORDINATOR = """
import sys
sys.path.insert(0, {tests!r})
from tee_machines import Study, opening_of
from petlab.running.registry import find_task
opening = opening_of("logreg", "sums", method="gradient", iterations=200_000)
study = Study(opening, find_task("logreg").programs["sums"])
study.launch()
study.provision_all()
print(study.machine.pid, flush=True)
study.answer()
"""


def test_killed_coordinator_leaves_no_processes() -> None:
    """In the middle of a run that would take a minute; it had no chance to end them itself."""
    script = COORDINATOR.format(tests=str(Path(__file__).parent))
    coordinator = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert coordinator.stdout is not None
    found = family(int(coordinator.stdout.readline()))
    assert len(found) >= 3
    time.sleep(0.3)
    coordinator.send_signal(signal.SIGKILL)
    coordinator.wait()
    coordinator.stdout.close()
    wait_until(lambda: not any(map(alive, found)))


# How long owners wait for each other, and what leaves the enclave.


@pytest.mark.parametrize("technique", ["tee", "fl+tee"])
def test_owners_attest_side_by_side(technique: str) -> None:
    """Twelve owners need as many rounds as three, and every attestation is on the wire."""
    few, many = (
        evaluate(Cell("chi2", "sums", technique, "heart", parties=count)) for count in (3, 12)
    )
    assert many.costs["rounds"].value == few.costs["rounds"].value
    for result, owners in ((few, 3), (many, 12)):
        asked = sum(
            entry["messages"]
            for entries in result.views.values()
            for entry in entries
            if entry["what"] == "challenge"
        )
        assert asked == 2 * (owners + 1), "each owner and the analyst, its key and a quote"


@pytest.mark.parametrize("raised", ["DataError", "OutOfRange", "ValueError"])
def test_no_text_of_an_error_leaves_the_enclave(raised: str) -> None:
    """It may quote a value; what kind of error it was is all that the host hears."""
    from petlab import errors as common
    from petlab.techniques.tee.enclave import _refusal

    kind = getattr(common, raised, ValueError)
    said = _refusal(kind("patient 17 has 3.14"))
    assert "3.14" not in repr(said)
    assert "17" not in repr(said)
    assert raised in repr(said)
    assert "round 1" in _refusal(errors.Replayed("round 1 was added already"))["reason"]
