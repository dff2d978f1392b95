"""Papermill sweeps: every cell a notebook, every end of it a row."""

from __future__ import annotations

import itertools
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from petlab.api import RESULTS
from petlab.errors import UsageError, unknown
from petlab.evaluator import evaluate, prepare
from petlab.registry import technique_names
from petlab.result import Cell, Result, Status
from petlab.store import Store

FINAL = frozenset({Status.OK, Status.UNSUPPORTED, Status.MISSING_PACKAGE})
"""A stored result of this kind is not run again."""
START_TRIES = 3
"""A kernel that did not start is tried again: its ports may have been taken."""


@dataclass(frozen=True)
class Sweep:
    """A list of cells and how they are run.

    Attributes
    ----------
    notebooks
        Folder with one notebook per task.
    timeout_s
        Most seconds for one cell.
    """

    name: str
    notebooks: Path
    cells: tuple[Cell, ...]
    timeout_s: int = 600


def read_sweep(path: Path) -> Sweep:
    """Read a sweep and check every cell of it.

    A sweep has `name`, `timeout_s` and `grid`: a list of blocks whose fields are those of
    a cell. A list of values for a field means one cell for each, in all combinations;
    `technique: all` means every discovered one.

    Raises
    ------
    UsageError
        The file is not such a list, or a cell names something that does not exist.
    """
    import yaml

    try:
        spec = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: cannot be read as a sweep: {error}.") from None
    if not isinstance(spec, dict) or not isinstance(spec.get("grid"), list):
        raise UsageError(f"{path.name}: a sweep needs a list named `grid`.")
    for key in spec:
        if key not in ("name", "timeout_s", "grid"):
            raise unknown(f"key of {path.name}", key, ("name", "timeout_s", "grid"))
    cells = [cell for block in spec["grid"] for cell in _cells(block, path.name)]
    for cell in cells:
        prepare(cell)
    unique = tuple(dict.fromkeys(_Hashable(cell) for cell in cells))
    return Sweep(
        name=spec.get("name", path.stem),
        notebooks=path.resolve().parent.parent,
        cells=tuple(item.cell for item in unique),
        timeout_s=int(spec.get("timeout_s", 600)),
    )


def run_sweep(sweep: Sweep, out: Path, *, jobs: int = 1, fresh: bool = False) -> list[Result]:
    """Run what is not there yet; return the results of all cells.

    Parameters
    ----------
    out
        Folder of results. Executed notebooks go to `runs` beside it.
    jobs
        Notebooks at a time.
    fresh
        Run everything again.
    """
    store = Store(out)
    if fresh:
        for cell in sweep.cells:
            store.forget(cell)
    waiting = []
    for cell in sweep.cells:
        stored = store.read(cell)
        if stored is None or stored.status not in FINAL:
            waiting.append(cell)
    direct = [cell for cell in waiting if _has_gap(cell)]
    for cell in direct:
        store.write(evaluate(cell))
    notebooks = [cell for cell in waiting if not _has_gap(cell)]
    for result in _progress(_in_parallel(sweep, notebooks, out, jobs), len(notebooks)):
        store.write(result)
    found = (store.read(cell) for cell in sweep.cells)
    return [result for result in found if result is not None]


def count_statuses(results: list[Result]) -> dict[str, int]:
    """How many results ended how."""
    return dict(Counter(str(result.status) for result in results))


def run_cell_notebook(sweep: Sweep, cell: Cell, out: Path) -> Result:
    """Execute one cell's notebook with papermill and return what it stored.

    A dead kernel, a time-out and an error are results. A stored result that is not of the
    cell asked for (parameters injected into the wrong place, say) is a failure.
    """
    store = Store(out)
    store.forget(cell)
    runs = out.parent / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    copy = runs / (store.path(cell).stem + ".ipynb")
    before = set(out.glob("*.json")) if out.is_dir() else set()
    with _stderr_to(copy.with_suffix(".log")):
        problem = _execute(sweep, cell, copy, out)
    result = store.read(cell)
    if result is not None:
        return result
    if problem is None:
        others = sorted({path.name for path in out.glob("*.json")} - {p.name for p in before})
        told = f" (another was: {others[0]})" if others else ""
        problem = Status.FAILED, f"the notebook left no result of the cell asked for{told}"
    return Result(cell, problem[0], f"{problem[1]}. Executed copy: {runs.name}/{copy.name}")


def _execute(sweep: Sweep, cell: Cell, copy: Path, out: Path) -> tuple[Status, str] | None:
    """Run a notebook; return what went wrong, or None."""
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill import execute_notebook
    from papermill.exceptions import PapermillExecutionError

    os.environ[RESULTS] = str(out.resolve())
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for attempt in range(START_TRIES):
        try:
            execute_notebook(
                sweep.notebooks / f"{cell.task}.ipynb",
                copy,
                parameters=_parameters(cell),
                kernel_name="python3",
                progress_bar=False,
                log_output=False,
                cwd=str(Path.cwd()),
                start_timeout=180,
                execution_timeout=sweep.timeout_s,
            )
        except PapermillExecutionError as error:
            return Status.FAILED, f"{error.ename}: {error.evalue}"
        except CellTimeoutError:
            return Status.TIMEOUT, f"not done after {sweep.timeout_s} s"
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


def _in_parallel(sweep: Sweep, cells: list[Cell], out: Path, jobs: int) -> Iterator[Result]:
    from joblib import Parallel, delayed

    parallel = Parallel(n_jobs=max(1, min(jobs, len(cells))), return_as="generator_unordered")
    return parallel(delayed(run_cell_notebook)(sweep, cell, out) for cell in cells)


def _progress(results: Iterator[Result], total: int) -> Iterator[Result]:
    from tqdm import tqdm

    return iter(tqdm(results, total=total, unit="cell", disable=None, file=sys.stderr))


def _has_gap(cell: Cell) -> bool:
    prepared = prepare(cell)
    return prepared.technique.gap(prepared.program.requires) is not None


def _cells(block: Mapping[str, Any], where: str) -> Iterator[Cell]:
    if not isinstance(block, dict):
        raise UsageError(f"{where}: every entry of `grid` has fields such as `task: logreg`.")
    values = dict(block)
    if values.get("technique") == "all":
        values["technique"] = technique_names()
    names = list(values)
    choices = [value if isinstance(value, list) else [value] for value in values.values()]
    for combination in itertools.product(*choices):
        yield Cell.from_dict(dict(zip(names, combination, strict=True)))


@dataclass(frozen=True)
class _Hashable:
    """A cell by its digest, to keep one of each."""

    cell: Cell

    def __hash__(self) -> int:
        return hash(self.cell.digest)
