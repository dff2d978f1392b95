"""Sweeps on a Dask cluster of two real worker processes on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import nbformat
import pytest

from petlab.errors import UsageError
from petlab.running.cluster import ClusterError
from petlab.running.result import Cell, Status
from petlab.running.store import Store
from petlab.running.sweep import Sweep, run_sweep

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
PATIENT_S = 60


@contextmanager
def cluster(folder: Path, workers: int = 2) -> Iterator[tuple[str, int]]:
    """A scheduler and its workers in folders of their own; its address and process."""
    known = folder / "scheduler.json"
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        # One death is forgiven, not three: each costs the seconds that a new worker takes.
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
    }
    shared = ["--scheduler-file", str(known), "--host", "127.0.0.1", "--no-dashboard"]
    started = []

    def start(kind: str, *options: str) -> None:
        place = folder / f"{kind}{len(started)}"
        place.mkdir()
        command = [sys.executable, "-m", "dask", kind, *shared, *options]
        with (place / "log").open("wb") as log:
            started.append(
                subprocess.Popen(
                    command, cwd=place, env=environment, stderr=log, start_new_session=True
                )
            )

    try:
        start("scheduler", "--port", "0")
        for _ in range(workers):
            start("worker", "--nthreads", "1", "--local-directory", "scratch")
        deadline = time.monotonic() + PATIENT_S
        while not known.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        yield json.loads(known.read_text())["address"], started[0].pid
    finally:
        for process in started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two workers that every test of the module shares."""
    with cluster(tmp_path_factory.mktemp("cluster")) as (found, _):
        yield found


def edited(folder: Path, source: str) -> Path:
    """The chi-squared notebook with something before its run."""
    notebook = nbformat.read(NOTEBOOKS / "chi2.ipynb", 4)
    notebook.cells[2].source = f"{source}\n{notebook.cells[2].source}"
    folder.mkdir(exist_ok=True)
    nbformat.write(notebook, folder / "chi2.ipynb")
    return folder


def cells(*techniques: str) -> tuple[Cell, ...]:
    """Small cells."""
    return tuple(Cell("chi2", technique=name, dataset="apoe") for name in techniques)


@pytest.mark.slow
def test_a_sweep_goes_on_across_this_machine_and_a_cluster(tmp_path, address):
    """Here, then on the cluster, then here again: each cell runs once, each result is kept."""
    mark = f"open({str(tmp_path / 'ran-')!r} + technique, 'a').write('x')"
    notebooks, out = edited(tmp_path / "notebooks", mark), tmp_path / "results"
    asked = cells("cleartext", "fl", "he")
    run_sweep(Sweep("begun here", notebooks, asked[:1]), out)
    run_sweep(Sweep("gone on there", notebooks, asked[:2]), out, address=address)
    results = run_sweep(Sweep("ended here", notebooks, asked), out)
    assert [result.status for result in results] == [Status.OK] * 3
    assert {path.name: path.read_text() for path in tmp_path.glob("ran-*")} == {
        f"ran-{cell.technique}": "x" for cell in asked
    }
    assert {r.cell.digest for r in Store(out)} == {cell.digest for cell in asked}
    copies = [nbformat.read(path, 4) for path in tmp_path.glob("runs/*.ipynb")]
    assert len(copies) == 3
    assert all(any(cell.get("outputs") for cell in copy.cells) for copy in copies)


@pytest.mark.slow
def test_a_dying_worker_costs_a_cell_at_most_a_row(tmp_path, address):
    """A cell that lost its worker is tried again; one that kills each is failed; others run."""
    notebooks = edited(
        tmp_path / "notebooks",
        f"""
import os, pathlib, signal
died = pathlib.Path({str(tmp_path / "died-")!r} + technique)
if technique == "he" or technique == "fl" and not died.exists():
    died.touch()
    os.kill(os.getppid(), signal.SIGKILL)
""",
    )
    sweep = Sweep("dying", notebooks, cells("cleartext", "he", "fl"))
    found = {r.cell.technique: r for r in run_sweep(sweep, tmp_path / "results", address=address)}
    assert {path.name for path in tmp_path.glob("died-*")} == {"died-he", "died-fl"}
    assert found["he"].status is Status.FAILED
    assert "died" in str(found["he"].reason)
    assert {found[name].status for name in ("cleartext", "fl")} == {Status.OK}


@pytest.mark.slow
def test_a_time_out_on_the_cluster_is_a_row(tmp_path, address):
    """The worker gives an endless cell up."""
    notebooks = edited(tmp_path / "notebooks", "import time\ntime.sleep(600)")
    sweep = Sweep("late", notebooks, cells("cleartext"), timeout_s=1)
    (late,) = run_sweep(sweep, tmp_path / "results", address=address)
    assert late.status is Status.TIMEOUT
    assert "not done after 1 s" in str(late.reason)


@pytest.mark.slow
def test_a_cluster_that_goes_away_leaves_what_came_in(tmp_path):
    """The sweep ends with an error that says how to go on, and going on here repeats nothing."""
    notebooks = edited(
        tmp_path / "notebooks",
        f"import os, time\nif technique == 'he' and not os.path.exists({str(tmp_path / 'gone')!r}):"
        "\n    time.sleep(600)",
    )
    out = tmp_path / "results"
    sweep = Sweep("gone", notebooks, cells("cleartext", "he"))
    with cluster(tmp_path) as (address, scheduler):

        def kill_when_one_is_done() -> None:
            while not list(out.glob("*.json")):
                time.sleep(0.1)
            os.killpg(scheduler, signal.SIGKILL)

        killer = threading.Thread(target=kill_when_one_is_done, daemon=True)
        killer.start()
        with pytest.raises(ClusterError, match="same command"):
            run_sweep(sweep, out, address=address)
    (kept,) = list(Store(out))
    assert kept.cell.technique == "cleartext"
    (tmp_path / "gone").touch()
    written = Store(out).path(kept.cell).stat().st_mtime_ns
    assert [r.status for r in run_sweep(sweep, out)] == [Status.OK] * 2
    assert Store(out).path(kept.cell).stat().st_mtime_ns == written


@pytest.mark.parametrize("wrong", ["nonsense", "host", "http://host:1", "a host:1"])
def test_an_address_without_a_port_is_a_usage_error(tmp_path, wrong):
    """Before anything is asked of the network."""
    with pytest.raises(UsageError, match="HOST:PORT"):
        run_sweep(Sweep("none", NOTEBOOKS, cells("he")), tmp_path, address=wrong)


@pytest.mark.slow
def test_a_scheduler_that_is_not_there_is_named(tmp_path, monkeypatch):
    """The error has the address and says how to start one; nothing is stored."""
    monkeypatch.setattr("petlab.running.cluster.ANSWER_S", 1)
    with pytest.raises(ClusterError, match=r"127\.0\.0\.1:9 "):
        run_sweep(Sweep("none", NOTEBOOKS, cells("he")), tmp_path / "r", address="127.0.0.1:9")
    assert not (tmp_path / "r").exists()


@pytest.mark.slow
def test_a_scheduler_without_workers_is_an_error_not_a_wait(tmp_path, monkeypatch):
    """It says how to add one."""
    monkeypatch.setattr("petlab.running.cluster.ANSWER_S", 2)
    sweep = Sweep("none", NOTEBOOKS, cells("he"))
    with (
        cluster(tmp_path, workers=0) as (address, _),
        pytest.raises(ClusterError, match="dask worker"),
    ):
        run_sweep(sweep, tmp_path / "r", address=address)
