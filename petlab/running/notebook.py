"""One cell's notebook, executed by papermill."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from petlab.running.result import Cell, Result, Status
from petlab.running.run import RESULTS
from petlab.running.store import Store

START_TRIES = 3
"""A kernel that did not start is tried again: its ports may have been taken."""


@dataclass(frozen=True)
class Folders:
    """Where a cell's notebook is and where its result goes.

    Attributes
    ----------
    notebooks
        Folder with one notebook per task.
    results
        Folder of results. Executed notebooks go to `runs` beside it.
    """

    notebooks: Path
    results: Path

    @property
    def runs(self) -> Path:
        """Folder of executed notebooks."""
        return self.results.parent / "runs"

    def copy(self, cell: Cell) -> Path:
        """Where a cell's executed notebook goes."""
        return self.runs / (Store(self.results).path(cell).stem + ".ipynb")


def run_cell_notebook(cell: Cell, folders: Folders, *, timeout_s: int) -> Result:
    """Execute one cell's notebook with papermill and return what it stored.

    A dead kernel, a time-out and an error are results. A stored result that is not of the
    cell asked for (parameters injected into the wrong place, say) is a failure.
    """
    out = folders.results
    store = Store(out)
    store.forget(cell)
    folders.runs.mkdir(parents=True, exist_ok=True)
    copy = folders.copy(cell)
    before = set(out.glob("*.json")) if out.is_dir() else set()
    with _stderr_to(copy.with_suffix(".log")):
        problem = _execute(cell, folders, timeout_s)
    result = store.read(cell)
    if result is not None:
        return result
    if problem is None:
        others = sorted({path.name for path in out.glob("*.json")} - {p.name for p in before})
        told = f" (another was: {others[0]})" if others else ""
        problem = Status.FAILED, f"the notebook left no result of the cell asked for{told}"
    return Result(cell, problem[0], f"{problem[1]}. Executed copy: {copy.parent.name}/{copy.name}")


def _execute(cell: Cell, folders: Folders, timeout_s: int) -> tuple[Status, str] | None:
    """Run a notebook; return what went wrong, or None."""
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill import execute_notebook
    from papermill.exceptions import PapermillExecutionError

    os.environ[RESULTS] = str(folders.results.resolve())
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for attempt in range(START_TRIES):
        try:
            execute_notebook(
                folders.notebooks / f"{cell.task}.ipynb",
                folders.copy(cell),
                parameters=_parameters(cell),
                kernel_name="python3",
                progress_bar=False,
                log_output=False,
                cwd=str(Path.cwd()),
                start_timeout=180,
                execution_timeout=timeout_s,
            )
        except PapermillExecutionError as error:
            return Status.FAILED, f"{error.ename}: {error.evalue}"
        except CellTimeoutError:
            return Status.TIMEOUT, f"not done after {timeout_s} s"
        except DeadKernelError:
            return Status.FAILED, "the kernel died (out of memory, or a crash in a library)"
        except NoSuchKernel:
            return Status.FAILED, "no kernel named python3: run `petlab doctor`"
        except RuntimeError as error:
            if attempt + 1 < START_TRIES:
                continue
            return Status.FAILED, f"the kernel did not start: {error}"
        break
    return None


@contextmanager
def _stderr_to(log: Path) -> Iterator[None]:
    """Send what kernels write to standard error into a file: each warns about its ports."""
    sys.stderr.flush()
    kept = os.dup(2)
    with log.open("wb") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)


def _parameters(cell: Cell) -> dict[str, Any]:
    values = {f.name: getattr(cell, f.name) for f in fields(Cell) if f.name != "task"}
    return {**values, "settings": dict(cell.settings)}
