"""Papermill sweeps: every cell a notebook, every end of it a row."""

from __future__ import annotations

import hashlib
import itertools
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from petlab.data.dataset import find_dataset
from petlab.errors import UsageError, unknown
from petlab.running.evaluator import evaluate
from petlab.running.notebook import Folders, run_cell_notebook
from petlab.running.prepared import dataset_of, named, origin, prepare
from petlab.running.progress import progress
from petlab.running.registry import tasks, technique_names
from petlab.running.result import Cell, Result, Status
from petlab.running.store import Store, StoreError

FINAL = frozenset({Status.OK, Status.UNSUPPORTED})
"""A stored result of this kind is not run again while all that it comes from is the same."""


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
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: cannot be read as a sweep: {error}.") from None
    if not isinstance(spec, dict) or not isinstance(spec.get("grid"), list):
        raise UsageError(f"{path.name}: a sweep needs a list named `grid`.")
    for key in spec:
        if key not in ("name", "timeout_s", "grid"):
            raise unknown(f"key of {path.name}", str(key), ("name", "timeout_s", "grid"))
    seconds = spec.get("timeout_s", 600)
    if isinstance(seconds, bool) or not isinstance(seconds, int) or seconds < 1:
        raise UsageError(f"{path.name}: timeout_s is a whole number of seconds, at least 1.")
    cells = [named(cell) for block in spec["grid"] for cell in _cells(block, path.name)]
    for cell in cells:
        prepare(cell)
    for name in {cell.dataset for cell in cells if cell.data is None}:
        find_dataset(name)
    unique = tuple(dict.fromkeys(_Hashable(cell) for cell in cells))
    return Sweep(
        name=str(spec.get("name", path.stem)),
        notebooks=notebooks_folder(path),
        cells=tuple(item.cell for item in unique),
        timeout_s=seconds,
    )


def notebooks_folder(sweep: Path) -> Path:
    """Where the notebooks of a sweep lie: beside its folder, or where petlab's own are."""
    beside = sweep.resolve().parent.parent
    if any((beside / f"{name}.ipynb").exists() for name in tasks()):
        return beside
    package = Path(__file__).parents[1]
    inside = package / "_notebooks"
    return inside if inside.is_dir() else package.parent / "notebooks"


def run_sweep(
    sweep: Sweep,
    out: Path,
    *,
    jobs: int = 1,
    fresh: bool = False,
    address: str | None = None,
) -> list[Result]:
    """Run what is not there yet; return the results of all cells.

    Results are written here, wherever a cell ran, so that a sweep that began on this machine
    can go on in a cluster and the other way round.

    Parameters
    ----------
    out
        Folder of results. Executed notebooks go to `runs` beside it.
    jobs
        Notebooks at a time.
    fresh
        Run everything again.
    address
        Scheduler of a Dask cluster that runs the notebooks, in place of this machine.

    Raises
    ------
    ClusterError
        The cluster does not answer or went away. Results that came in are kept.
    UsageError
        Another sweep writes into this folder now: one would overwrite what the other found.
    """
    with _alone(out):
        return _run_alone(sweep, out, jobs=jobs, fresh=fresh, address=address)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Let one sweep at a time write into a folder."""
    import fcntl

    name = hashlib.sha256(str(out.resolve()).encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"petlab-sweep-{os.getuid()}-{name}.lock"
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"another sweep writes into {out} now. Wait for it, or choose another --out."
            ) from None
        yield


def _run_alone(
    sweep: Sweep, out: Path, *, jobs: int, fresh: bool, address: str | None
) -> list[Result]:
    store = Store(out)
    if fresh:
        for cell in sweep.cells:
            store.forget(cell)
    waiting = []
    for cell in sweep.cells:
        if not _still_holds(_stored(store, cell), cell):
            waiting.append(cell)
    direct = [cell for cell in waiting if _has_gap(cell)]
    for cell in direct:
        store.write(evaluate(cell))
    notebooks = [cell for cell in waiting if not _has_gap(cell)]
    ran = _run(sweep, notebooks, out, jobs=jobs, address=address) if notebooks else iter(())
    for result in progress(ran, total=len(notebooks), unit="cell"):
        store.write(result)
    found = (store.read(cell) for cell in sweep.cells)
    return [result for result in found if result is not None]


def _stored(store: Store, cell: Cell) -> Result | None:
    """What is stored of a cell; what cannot be read is run again."""
    try:
        return store.read(cell)
    except StoreError:
        return None


def _still_holds(stored: Result | None, cell: Cell) -> bool:
    """Whether a stored result is of this very table, card, petlab and settings."""
    if stored is None or stored.status not in FINAL:
        return False
    prepared = prepare(cell)
    now = origin(prepared, dataset_of(prepared))
    return all(stored.provenance.get(name) == value for name, value in now.items())


def count_statuses(results: list[Result]) -> dict[str, int]:
    """How many results ended how."""
    return dict(Counter(str(result.status) for result in results))


def _run(
    sweep: Sweep, cells: list[Cell], out: Path, *, jobs: int, address: str | None
) -> Iterator[Result]:
    """Run cells beside each other; a result as soon as it is there."""
    folders = Folders(sweep.notebooks, out)
    if address is not None:
        from petlab.running.cluster import run_on_cluster

        return run_on_cluster(cells, folders, timeout_s=sweep.timeout_s, address=address)
    from joblib import Parallel, delayed

    parallel = Parallel(n_jobs=max(1, min(jobs, len(cells))), return_as="generator_unordered")
    return parallel(
        delayed(run_cell_notebook)(cell, folders, timeout_s=sweep.timeout_s) for cell in cells
    )


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
