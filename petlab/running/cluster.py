"""Cells on a Dask cluster: workers run notebooks, the submitting side keeps what they send back."""

from __future__ import annotations

import re
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from petlab.errors import PetlabError, UsageError
from petlab.running.notebook import Folders, run_cell_notebook
from petlab.running.result import Cell, Result, Status

if TYPE_CHECKING:
    from distributed import Client, Future

ANSWER_S = 15
"""How long a scheduler may take to answer, and its first worker to be there."""

_ADDRESS = re.compile(r"((tcp|tls)://)?[^\s/]+:\d+")

_one_at_a_time = threading.Lock()
"""A notebook's environment and standard error belong to a process, not to one of its threads."""


class ClusterError(PetlabError):
    """The cluster cannot be used, or went away."""


@dataclass(frozen=True)
class Ran:
    """What a worker sends back.

    Attributes
    ----------
    notebook, log
        Executed notebook and what its kernel wrote to standard error.
    """

    result: Result
    notebook: bytes
    log: bytes


def run_on_cluster(
    cells: Sequence[Cell], folders: Folders, *, timeout_s: int, address: str
) -> Iterator[Result]:
    """Run cells on a cluster's workers; a result as soon as it is there.

    Workers need petlab installed and nothing else: a notebook travels with its cell, and no
    folder is shared. A cell whose workers keep dying is a failed row.

    Raises
    ------
    UsageError
        The address is not one.
    ClusterError
        No scheduler answers, it has no workers, or it went away.
    """
    suspects = []
    with _client(address) as client:
        for cell, future in _finished(client, cells, folders, timeout_s):
            if _lost_its_workers(future):
                suspects.append(cell)
            else:
                yield _received(future, cell, folders, address)
        # A dying worker takes along what else it had; alone, a cell can only blame itself.
        for suspect in suspects:
            for cell, future in _finished(client, [suspect], folders, timeout_s):
                yield _received(future, cell, folders, address)


def run_here(cell: Cell, notebook: bytes, timeout_s: int) -> Ran:
    """Run one cell in a folder of its own; this is what a worker does."""
    with _one_at_a_time, tempfile.TemporaryDirectory(prefix="petlab-") as made:
        folders = Folders(Path(made), Path(made) / "results")
        (folders.notebooks / f"{cell.task}.ipynb").write_bytes(notebook)
        result = run_cell_notebook(cell, folders, timeout_s=timeout_s)
        copy = folders.copy(cell)
        return Ran(result, _bytes(copy), _bytes(copy.with_suffix(".log")))


def _client(address: str) -> Client:
    from distributed import Client

    if not _ADDRESS.fullmatch(address):
        raise UsageError(f"--address {address}: expected HOST:PORT, tcp://… or tls://….")
    try:
        client = Client(address, timeout=ANSWER_S, set_as_default=False)
    except OSError as error:
        raise ClusterError(
            f"no Dask scheduler answers at {address} ({type(error).__name__}). `dask scheduler` "
            "starts one and prints its address."
        ) from None
    try:
        client.wait_for_workers(1, timeout=ANSWER_S)
    except TimeoutError:
        client.close()
        raise ClusterError(
            f"the Dask scheduler at {address} has no workers. `dask worker {address} "
            "--nthreads 1` adds one."
        ) from None
    return client


def _finished(
    client: Client, cells: Sequence[Cell], folders: Folders, timeout_s: int
) -> Iterator[tuple[Cell, Future]]:
    """Submit cells; yield each when it is done."""
    from distributed import as_completed

    asked = {}
    for cell in cells:
        notebook = (folders.notebooks / f"{cell.task}.ipynb").read_bytes()
        key = f"{cell.name} {uuid4().hex}"
        asked[client.submit(run_here, cell, notebook, timeout_s, key=key)] = cell
    for future in as_completed(asked, loop=client.loop):
        # Dropping the last reference lets the scheduler forget the cell's notebook.
        yield asked.pop(future), future


def _lost_its_workers(future: Future) -> bool:
    from distributed import KilledWorker

    return not future.cancelled() and isinstance(future.exception(), KilledWorker)


def _received(future: Future, cell: Cell, folders: Folders, address: str) -> Result:
    """Keep the executed notebook; return the cell's result, whatever became of the worker."""
    if future.cancelled():
        raise ClusterError(
            f"the Dask scheduler at {address} went away. Results that came in are kept; the same "
            "command runs the rest, here (without --address) or on another cluster."
        )
    error = future.exception()
    if _lost_its_workers(future):
        return Result(
            cell, Status.FAILED, "every worker that ran it died (out of memory, or killed)"
        )
    if error is not None:
        return Result(cell, Status.FAILED, f"on the worker: {type(error).__name__}: {error}")
    ran: Ran = future.result()
    folders.runs.mkdir(parents=True, exist_ok=True)
    copy = folders.copy(cell)
    for path, content in ((copy, ran.notebook), (copy.with_suffix(".log"), ran.log)):
        if content:
            path.write_bytes(content)
    return ran.result


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""
