"""What notebooks call: run one cell, run a notebook's parameters, compare techniques."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from petlab.budget import Budget, BudgetExceeded
from petlab.errors import PetlabError, UsageError, unknown
from petlab.evaluator import evaluate, prepare
from petlab.literals import parse_settings
from petlab.registry import find_task, technique_names
from petlab.result import Cell, Result, Setting, Status
from petlab.store import Store
from petlab.tables import Comparison

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
    budget: Budget | None = None,
) -> Result:
    """Run one cell; see `petlab.Cell` for the parameters.

    The first cell of a process runs in it. Later ones run in a fresh process each, so that
    peak memory is theirs alone.

    Parameters
    ----------
    budget
        The study's privacy budget: the cell's releases are booked before data is touched.

    Raises
    ------
    UsageError
        A name or setting is unknown.
    DataError
        The data or its card is refused.
    BudgetExceeded
        The budget does not cover the cell.
    """
    given = dict(settings or {})
    cell = Cell(task, program, technique, dataset, parties, partition, seed, given, data, card)
    return run_cell(cell, budget=budget)


def run_cell(cell: Cell, *, budget: Budget | None = None) -> Result:
    """Run one cell here if this process is fresh, else in a process of its own."""
    global _ran_here
    if _ran_here:
        return run_apart(cell, budget=budget)
    _ran_here = True
    return evaluate(cell, budget=budget)


def run_apart(
    cell: Cell, *, timeout_s: float | None = None, budget: Budget | None = None
) -> Result:
    """Run one cell in a fresh process; a time-out is a result, not an error."""
    prepare(cell)
    command = [sys.executable, "-m", "petlab", "run", "--cell", "-", "--json"]
    command += ["--budget", str(budget.path)] if budget else []
    try:
        done = subprocess.run(
            command,
            input=json.dumps(asdict(cell)),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Result(cell, Status.TIMEOUT, f"not done after {timeout_s:g} s")
    if done.stdout.startswith("{"):
        return Result.from_json(done.stdout)
    lines = done.stderr.strip().splitlines()
    said = lines[-1].removeprefix("petlab: ") if lines else f"ended with status {done.returncode}"
    if done.returncode == UsageError.exit_status:
        raise UsageError(said)
    if done.returncode == BudgetExceeded.exit_status:
        raise BudgetExceeded(said)
    return Result(cell, Status.FAILED, said)


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


def compare_notebook(namespace: Mapping[str, Any]) -> Comparison:
    """Compare the techniques that a notebook's parameters name; see `compare`.

    Raises
    ------
    UsageError
        A parameter was misspelt.
    """
    known = ["techniques", *(f.name for f in fields(Cell) if f.name != "technique")]
    check_parameters(known, namespace)
    values = {name: namespace[name] for name in known if name in namespace}
    return compare(values.pop("task"), **values)


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


def compare(
    task: str,
    *,
    techniques: Sequence[str] | None = None,
    timeout_s: float = 600.0,
    **cell: Any,
) -> Comparison:
    """Run every technique on the same task, data, split and seed.

    Parameters
    ----------
    techniques
        Specs such as "he" or "dp"; all discovered ones by default.
    timeout_s
        Most seconds for one cell.
    **cell
        Further fields of `petlab.Cell`.
    """
    find_task(task)
    cell["settings"] = parse_settings(cell.get("settings", {}))
    results = []
    for technique in techniques or technique_names():
        settings = _applicable(cell["settings"], task, technique)
        asked = Cell.from_dict({**cell, "settings": settings, "task": task, "technique": technique})
        try:
            results.append(run_apart(asked, timeout_s=timeout_s))
        except PetlabError:
            if technique == "cleartext":
                raise
            results.append(Result(asked, Status.FAILED, str(sys.exc_info()[1])))
    return Comparison(results)


def _applicable(settings: Mapping[str, Setting], task: str, technique: str) -> dict[str, Setting]:
    """Settings that this technique or the task knows; the others belong to another one."""
    from petlab.registry import setting_owners
    from petlab.task import describe_settings

    own = [find_task(task).settings, *setting_owners(technique)]
    everybody = [owner for name in technique_names() for owner in (*setting_owners(name), *own)]
    mine = {f.name for owner in own for f in describe_settings(owner)} | {"records_max"}
    known = {f.name for owner in everybody for f in describe_settings(owner)} | mine
    for name in settings:
        if name not in known:
            raise unknown("setting", name, known)
    return {name: value for name, value in settings.items() if name in mine}


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
