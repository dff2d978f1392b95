"""Every technique and program that applies, on the same records, splits and seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from petlab.core.settings import Setting, describe_settings, parse_settings
from petlab.core.task import Placement
from petlab.data.subset import SAMPLING
from petlab.deciding import Prices, parse_requirements
from petlab.deciding.comparison import Comparison
from petlab.deciding.decide import PREFER
from petlab.deciding.requirement import refuse_scores_of_nobody, refuse_unmeasured
from petlab.deciding.scaling.design import check_sizes
from petlab.deciding.scaling.model import Extrapolated
from petlab.deciding.scaling.study import COSTS, scale
from petlab.errors import PetlabError, UsageError, unknown
from petlab.running.evaluator import evaluate
from petlab.running.prepared import prepare
from petlab.running.progress import progress
from petlab.running.registry import (
    find_program,
    find_task,
    find_technique,
    setting_owners,
    technique_names,
)
from petlab.running.result import Cell, Result, Status
from petlab.running.run import check_parameters, run_together
from petlab.running.store import Store
from petlab.study.blocks import BASELINE

SEEDS = 3
"""Runs of each candidate: fewer leave no interval to speak of."""


def compare(
    task: str,
    *,
    program: str | None = None,
    techniques: str | Sequence[str] | None = None,
    require: str | Sequence[str] | None = None,
    prefer: str = PREFER,
    price: Mapping[str, Any] | None = None,
    to: Mapping[str, float] | None = None,
    seeds: int = SEEDS,
    jobs: int = 2,
    timeout_s: float = 600.0,
    out: str | Path | None = None,
    **cell: Any,
) -> Comparison:
    """Run every technique on the same task, data, splits and seeds, and decide.

    Parameters
    ----------
    program
        One of the task's programs; all of them by default.
    techniques
        Specs such as "he" or "fl+dp", or a text of them with commas; all discovered ones by
        default. Cleartext always runs: losses are against it.
    require
        Constraints, such as "auc_loss<=0.02, wan_s<=600, trusted!=curator".
    prefer
        The cost of which the recommended candidate has least.
    price
        Money for an hour of a core and for 10^9 bytes: {"cpu_h": 0.05, "gb": 0.09}.
    to
        The size that counts, such as {"records": 5e6, "parties": 30}: every candidate is
        measured at three sizes of each, and constraints on costs are about extrapolated ones.
    seeds
        Runs of each candidate, from `seed` on.
    jobs
        Candidates at a time.
    timeout_s
        Most seconds for all runs of one candidate; with `to` as much again for its sizes.
    out
        Folder in which results are kept, for `petlab report`.
    **cell
        Further fields of `petlab.Cell`.

    Raises
    ------
    UsageError
        A name is unknown, or a constraint cannot be read: nothing was run. Or a constraint is
        on a score that the task does not have: only the reference was run.
    """
    if to:
        check_sizes(to)
    wanted, prices = parse_requirements(require), Prices.parse(price or {}) if price else None
    if seeds < 1 or jobs < 1:
        raise UsageError("seeds and jobs are at least 1.")
    if "technique" in cell:
        raise UsageError("compare takes techniques=[...], a list, not technique.")
    if "release" in cell:
        raise UsageError("compare evaluates: it holds results against the exact answer.")
    refuse_unmeasured(wanted, prefer, prices)
    groups = _groups(task, program, techniques, seeds, cell)
    store = Store(Path(out)) if out else None
    results: list[Result] = []
    references = seeds * sum(cells[0].technique == BASELINE for cells in groups)
    for result in _run(groups, jobs=jobs, timeout_s=timeout_s):
        results.append(result)
        if store:
            store.write(result)
        if len(results) == references:
            refuse_scores_of_nobody(wanted, results)
    scaled = None
    if to:
        scaled = _scaled(results, to, prices, repeats=seeds, jobs=jobs, timeout_s=timeout_s)
    return Comparison(results, wanted, prefer, prices, scaled)


def compare_notebook(namespace: Mapping[str, Any]) -> Comparison:
    """Compare the techniques that a notebook's parameters name; see `compare`.

    Raises
    ------
    UsageError
        A parameter was misspelt.
    """
    own = ["techniques", "require", "prefer", "price", "to", "seeds"]
    known = [*own, *(f.name for f in fields(Cell) if f.name not in ("technique", "release"))]
    check_parameters(known, namespace)
    values = {name: namespace[name] for name in known if name in namespace}
    # Papermill's -p hands texts over.
    for name in ("price", "to"):
        if isinstance(values.get(name), str):
            values[name] = parse_settings(values[name].replace(",", " ")) or None
    return compare(values.pop("task"), **values)


def _groups(
    task: str,
    program: str | None,
    techniques: str | Sequence[str] | None,
    seeds: int,
    given: Mapping[str, Any],
) -> list[list[Cell]]:
    """Cells by candidate: one list for each technique and program, a cell for each seed."""
    programs = [program] if program else list(find_task(task).programs)
    if isinstance(techniques, str):
        techniques = [name.strip() for name in techniques.split(",") if name.strip()]
    names = list(dict.fromkeys([BASELINE, *(techniques or technique_names())]))
    settings = parse_settings(given.get("settings", {}))
    found = []
    for name in names:
        find_technique(name)
        own = {**given, "settings": _applicable(settings, task, name)}
        for one in programs:
            rows = find_program(find_task(task), one).placement is Placement.ROWS
            if not rows and program is None:
                own = {**own, "parties": None}  # whoever holds columns or a model is one of two
            first = Cell.from_dict({**own, "task": task, "program": one, "technique": name})
            prepare(first)
            found.append([replace(first, seed=first.seed + k) for k in range(seeds)])
    return found


def _run(groups: list[list[Cell]], *, jobs: int, timeout_s: float) -> Iterator[Result]:
    """Results candidate by candidate; no other starts before the references are taken."""
    from joblib import Parallel, delayed

    ready = {k: evaluate(cells[0]) for k, cells in enumerate(groups) if _has_gap(cells[0])}
    asked = [cells for k, cells in enumerate(groups) if k not in ready]

    def candidates() -> Iterator[list[Result]]:
        for first in (True, False):
            part = [cells for cells in asked if (cells[0].technique == BASELINE) == first]
            yield from Parallel(n_jobs=jobs, return_as="generator", prefer="threads")(
                delayed(_candidate)(cells, timeout_s) for cells in part
            )

    for results in progress(candidates(), total=len(asked), unit="candidate"):
        yield from results
    yield from ready.values()


def _scaled(
    results: Sequence[Result],
    to: Mapping[str, float],
    prices: Prices | None,
    *,
    repeats: int,
    jobs: int,
    timeout_s: float,
) -> dict[tuple[str, str], Mapping[str, Extrapolated]]:
    """Extrapolated costs of every candidate that ran."""
    from joblib import Parallel, delayed

    first: dict[tuple[str, str], Cell] = {}
    for result in results:
        if result.status is Status.OK and result.cell.technique != BASELINE:
            first.setdefault((result.cell.technique, result.cell.program), result.cell)

    def costs(cell: Cell) -> Mapping[str, Extrapolated]:
        try:
            return scale(cell, to, repeats=repeats, prices=prices, timeout_s=timeout_s).costs
        except PetlabError as error:
            return dict.fromkeys((*COSTS, "price"), Extrapolated(None, reason=str(error)))

    run = Parallel(n_jobs=jobs, return_as="generator", prefer="threads")(
        delayed(costs)(cell) for cell in first.values()
    )
    found = progress(run, total=len(first), unit="law")
    return dict(zip(first, found, strict=True))


def _candidate(cells: list[Cell], timeout_s: float) -> list[Result]:
    try:
        return run_together(cells, timeout_s=timeout_s)
    except PetlabError as error:
        if cells[0].technique == BASELINE:
            raise
        return [Result(cell, Status.FAILED, str(error)) for cell in cells]


def _has_gap(cell: Cell) -> bool:
    prepared = prepare(cell)
    return prepared.technique.gap(prepared.program.requires) is not None


def _applicable(settings: Mapping[str, Setting], task: str, technique: str) -> dict[str, Setting]:
    """Settings that this technique or the task knows; the others belong to another one."""
    own = [find_task(task).settings, *setting_owners(technique)]
    everybody = [owner for name in technique_names() for owner in (*setting_owners(name), *own)]
    mine = {f.name for owner in own for f in describe_settings(owner)} | {"records_max", *SAMPLING}
    known = {f.name for owner in everybody for f in describe_settings(owner)} | mine
    for name in settings:
        if name not in known:
            raise unknown("setting", name, known)
    return {name: value for name, value in settings.items() if name in mine}
