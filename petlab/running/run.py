"""What notebooks call: run one cell, run a notebook's parameters, compare techniques."""

from __future__ import annotations

import ast
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from petlab.core.children import running
from petlab.core.settings import Setting, parse_settings
from petlab.errors import UsageError, unknown
from petlab.running.budget import Budget, BudgetExceeded
from petlab.running.evaluator import evaluate
from petlab.running.prepared import named, prepare
from petlab.running.result import Cell, Result, Status
from petlab.running.store import Store

RESULTS = "PETLAB_RESULTS"
"""Environment variable that names the folder in which a notebook leaves its result."""

_ran_here = False


def run(
    task: str,
    *,
    technique: str = "cleartext",
    program: str = "sums",
    dataset: str = "wdbc",
    parties: int | None = None,
    partition: str = "iid",
    seed: int = 0,
    settings: Mapping[str, Setting] | None = None,
    data: str | None = None,
    card: str | None = None,
    release: bool = False,
    budget: Budget | None = None,
) -> Result:
    """Run one cell; see `petlab.Cell` for the parameters.

    The first cell of a process runs in it. Later ones run in a fresh process each, so that
    peak memory is theirs alone.

    Parameters
    ----------
    budget
        The study's privacy budget: the cell's releases are booked before data is touched, and
        the result is a release.

    Raises
    ------
    UsageError
        A name or setting is unknown, or a release would have no epsilon.
    DataError
        The data or its card is refused.
    BudgetExceeded
        The budget does not cover the cell.
    """
    given = dict(settings or {})
    cell = Cell(
        task, program, technique, dataset, parties, partition, seed, given, data, card, release
    )
    return run_cell(cell, budget=budget)


def run_cell(cell: Cell, *, budget: Budget | None = None) -> Result:
    """Run one cell here if this process is fresh, else in a process of its own."""
    global _ran_here
    cell = named(cell)
    if _ran_here:
        return run_apart(cell, budget=budget)
    _ran_here = True
    return evaluate(cell, budget=budget)


def run_apart(
    cell: Cell, *, timeout_s: float | None = None, budget: Budget | None = None
) -> Result:
    """Run one cell in a fresh process; a time-out is a result, not an error."""
    return run_together([cell], timeout_s=timeout_s, budget=budget)[0]


def run_together(
    cells: Sequence[Cell], *, timeout_s: float | None = None, budget: Budget | None = None
) -> list[Result]:
    """Run cells one after another in one fresh process, which loads libraries once.

    Parameters
    ----------
    timeout_s
        Most seconds for all of them. What was finished by then is kept.

    Raises
    ------
    UsageError, BudgetExceeded
        As `run` does; for refused data, too, UsageError.
    """
    for cell in cells:
        prepare(cell)
    command = [*running("petlab"), "run", "--cell", "-", "--json"]
    command += ["--budget", str(budget.path)] if budget else []
    asked = json.dumps([asdict(cell) for cell in cells])
    late = None
    try:
        done = subprocess.run(
            command, input=asked, capture_output=True, text=True, timeout=timeout_s, check=False
        )
        status, output, errors = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired as error:
        late = f"not done after {timeout_s:g} s"
        status, output, errors = 0, _text(error.stdout), ""
    texts = output.splitlines() if len(cells) > 1 else [output.strip()]
    found = [Result.from_json(text) for text in texts if text.startswith("{") and text[-1] == "}"]
    rest = cells[len(found) :]
    if late:
        return found + [Result(cell, Status.TIMEOUT, late) for cell in rest]
    lines = errors.strip().splitlines()
    said = lines[-1].removeprefix("petlab: ") if lines else f"ended with status {status}"
    none = all(result.status is Status.FAILED for result in found)
    if none and status == UsageError.exit_status:
        raise UsageError(said)
    if none and budget and status == BudgetExceeded.exit_status:
        raise BudgetExceeded(said)
    return found + [Result(cell, Status.FAILED, said) for cell in rest]


def _text(output: bytes | str | None) -> str:
    return output.decode() if isinstance(output, bytes) else output or ""


def run_notebook(task: str, namespace: Mapping[str, Any]) -> Result:
    """Run the cell that a notebook's parameters describe.

    Parameters
    ----------
    namespace
        The notebook's `globals()`.

    Raises
    ------
    UsageError
        A parameter was misspelt: papermill alone would run the defaults without a word.
    """
    known = [f.name for f in fields(Cell) if f.name != "task"]
    check_parameters(known, namespace)
    values = {name: namespace[name] for name in known if name in namespace}
    values["settings"] = parse_settings(values.get("settings", {}))
    result = run_cell(Cell.from_dict({"task": task, **values}))
    if folder := os.environ.get(RESULTS):
        Store(Path(folder)).write(result)
    return result


def check_parameters(known: Sequence[str], namespace: Mapping[str, Any]) -> None:
    """Refuse names that were assigned in a parameters cell but mean nothing.

    Raises
    ------
    UsageError
        With the nearest known name.
    """
    for source in namespace.get("In", []):
        names = _assigned(source)
        if source.startswith("# Parameters") or names & set(known):
            for name in sorted(names - set(known)):
                raise unknown("parameter", name, known)


def _assigned(source: str) -> set[str]:
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return set()
    targets = []
    for node in tree.body:
        if isinstance(node, ast.Assign):
            targets += node.targets
        elif isinstance(node, ast.AnnAssign):
            targets.append(node.target)
    return {target.id for target in targets if isinstance(target, ast.Name)}
