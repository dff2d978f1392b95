"""Run one cell: load, split, plan, execute, score. A cell never vanishes: it ends as a row."""

from __future__ import annotations

import platform
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib import metadata
from typing import Any

import numpy as np

import petlab
from petlab.budget import Budget
from petlab.dataset import Dataset, find_dataset
from petlab.errors import DataError, MissingPackage, PetlabError, Unsupported, UsageError
from petlab.exposure import exposed
from petlab.meter import PeakMemory
from petlab.partition import check_partition, split
from petlab.placement import place
from petlab.plan import Plan, Public
from petlab.prepared import Prepared
from petlab.registry import find_program, find_task, find_technique, setting_owners
from petlab.result import Cell, Cost, Metric, Result, Setting, Status
from petlab.sampled import SAMPLING, sample
from petlab.session import Opening
from petlab.table import empty_table
from petlab.task import Answer, Placement, Records, split_settings
from petlab.technique import Run

LARGEST_SHOWN = 64
"""Arrays of an answer with more entries stay out of the stored result."""


def prepare(cell: Cell) -> Prepared:
    """Look up names and cast settings.

    Raises
    ------
    UsageError
        A name, the partition or a setting is unknown.
    """
    check_partition(cell.partition)
    task = find_task(cell.task)
    program = find_program(task, cell.program)
    given = dict(cell.settings)
    records_max = given.pop("records_max", None)
    sampling = {name: whole_number(name, given.pop(name)) for name in SAMPLING if name in given}
    owners = [task.settings, *setting_owners(cell.technique)]
    shares = split_settings(given, owners)
    rest: dict[str, Any] = {}
    for share in shares[1:]:
        rest |= share
    technique = find_technique(cell.technique, rest)
    settings = task.settings(**shares[0])
    limit = None if records_max is None else whole_number("records_max", records_max)
    return Prepared(cell, task, program, technique, settings, limit, sampling)


def whole_number(name: str, value: Setting) -> int:
    """Read a setting that counts something.

    Raises
    ------
    UsageError
        It is no whole number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or value % 1:
        raise UsageError(f"{name} is a whole number, not {value!r}.")
    return int(value)


def dataset_of(prepared: Prepared, whole: Dataset | None = None) -> Dataset:
    """Find a cell's data set, or the part of it that the cell uses.

    Raises
    ------
    UsageError
        There is no such data set, or it has no such part.
    """
    cell = prepared.cell
    whole = whole or find_dataset(cell.dataset, data=cell.data, card=cell.card)
    return sample(whole, **prepared.sampling, seed=cell.seed)


def plan_cell(prepared: Prepared, dataset: Dataset) -> Plan:
    """Plan a cell from its card alone, before any record is read."""
    empty = empty_table(dataset.card)
    public = _public(prepared, prepared.task.encode(empty, prepared.settings), dataset)
    return prepared.program.plan(prepared.settings, public)


def evaluate(cell: Cell, *, dataset: Dataset | None = None, budget: Budget | None = None) -> Result:
    """Run one cell in this process and return its result, whatever happens.

    Parameters
    ----------
    dataset
        The data set, when it was found already; else by the cell's name or files.
    budget
        The study's privacy budget, which the cell spends from.

    Raises
    ------
    UsageError
        The cell names something that does not exist.
    DataError
        The data or its card is refused.
    BudgetExceeded
        The budget does not cover the cell. Nothing was read.
    """
    started = time.time()
    prepared = prepare(cell)
    found = dataset_of(prepared, dataset)
    provenance = _provenance(prepared, found, started)
    gap = prepared.technique.gap(prepared.program.requires)
    if gap:
        return Result(
            cell, Status.UNSUPPORTED, gap.reason, gap=str(gap.kind), provenance=provenance
        )
    if budget:
        provenance["budget"] = _spend(prepared, found, budget)
    try:
        prepared.technique.check_packages()
        train, test = load_records(prepared, found)
        # The reference comes first: it imports the libraries that tasks share with it.
        reference = _reference(prepared, train, test)
        prepared.technique.warm_up()
        run, memory = _execute(prepared, train, test)
        quality = prepared.task.score(run.answer, reference, test, prepared.settings)
        exposure = exposed(prepared, (run.answer, reference), (train, test), run.guarantee)
    except (UsageError, DataError):
        raise
    except MissingPackage as error:
        return Result(cell, Status.MISSING_PACKAGE, str(error), provenance=provenance)
    except Unsupported as error:
        return Result(cell, Status.UNSUPPORTED, str(error), provenance=provenance)
    except Exception as error:
        return Result(cell, Status.FAILED, _reason(error), provenance=provenance)
    return Result(
        cell,
        Status.OK,
        quality={name: _finite(metric) for name, metric in quality.items()},
        exposure=exposure,
        costs={**run.costs, "peak_mib": _peak(memory, run.costs["peak_mib"])},
        phases=run.phases,
        guarantee=run.guarantee,
        views=run.views,
        answer=_shown(run.answer),
        notes=run.answer.notes,
        provenance={**provenance, "finished": time.time()},
    )


def _spend(prepared: Prepared, dataset: Dataset, budget: Budget) -> dict[str, Any]:
    """Book the cell's planned releases, and say where the study then stands."""
    if budget.dataset != dataset.name:
        raise UsageError(f"the budget is of {budget.dataset!r}, the cell of {dataset.name!r}.")
    cell = prepared.cell
    events = prepared.technique.events(plan_cell(prepared, dataset))
    budget.spend(f"{cell.name} ({cell.digest})", events)
    return {
        "epsilon": budget.epsilon,
        "delta": budget.delta,
        "spent": budget.spent_epsilon,
    }


def _public(prepared: Prepared, records: Records, dataset: Dataset) -> Public:
    public = replace(records.public, observed=dataset.card.observed)
    if prepared.records_max is not None:
        public = replace(public, records_max=prepared.records_max)
    return public


def load_records(prepared: Prepared, dataset: Dataset) -> tuple[Records, Records]:
    """Training and test records, encoded; the same for every technique."""
    table = dataset.load()
    records = prepared.task.encode(table, prepared.settings)
    card = table.card
    sites = table.values[card.site] if card.site else None
    public = _public(prepared, records, dataset)
    if table.rows > public.records_max:
        raise DataError(
            f"the table has more than records_max = {public.records_max} records. Set "
            "records_max to a public ceiling."
        )
    if prepared.program.placement is Placement.COLUMNS and card.id:
        _refuse_duplicates(table.values[card.id], card.id)
    records = replace(records, public=public, sites=sites, seed=prepared.cell.seed)
    if not prepared.task.test_share:
        return records, records
    chosen = split(records.labels, prepared.task.test_share, seed=prepared.cell.seed)
    train, test = (records.take(index) for index in chosen)
    return train, test


def _refuse_duplicates(ids: np.ndarray, column: str) -> None:
    _, first, counts = np.unique(ids, return_index=True, return_counts=True)
    if (counts > 1).any():
        row = int(first[counts > 1].min()) + 1
        raise DataError(
            f"row {row}, column {column}: this ID stands twice, so the owners' columns cannot "
            "be linked. Remove the duplicates."
        )


def _reference(prepared: Prepared, train: Records, test: Records) -> Answer:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        return prepared.task.reference(prepared.cell.program, train, test, prepared.settings)


def _execute(prepared: Prepared, train: Records, test: Records) -> tuple[Run, float | None]:
    from threadpoolctl import threadpool_limits

    shards, public = place(prepared, train, test)
    plan: Plan = prepared.program.plan(prepared.settings, public)
    release = prepared.technique.release(plan)
    opening = Opening(shards, plan, seed=prepared.cell.seed, release=release)
    memory = PeakMemory()
    # One thread for every party: small matrices gain nothing from more, and sweeps that run
    # side by side lose a lot.
    with threadpool_limits(limits=1):
        run = prepared.technique.execute(prepared.program, opening)
    return run, memory.mib


def _reason(error: Exception) -> str:
    if isinstance(error, PetlabError):
        return str(error)
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} (in {where.name})"


def _peak(here: float | None, elsewhere: Cost) -> Cost:
    """Peak memory of this process and of those that a session ran."""
    if here is None or elsewhere.value is None:
        return Cost(None, "measured")
    return Cost(here + elsewhere.value, "measured")


def _finite(metric: Metric) -> Metric:
    if metric.value is None or np.isfinite(metric.value):
        return metric
    return replace(metric, value=None)


def _shown(answer: Answer) -> Mapping[str, Any]:
    shown = {}
    for name, value in answer.values.items():
        array = np.asarray(value)
        if array.size <= LARGEST_SHOWN and np.all(np.isfinite(array)):
            shown[name] = array.tolist()
    return shown


def _provenance(prepared: Prepared, dataset: Dataset, started: float) -> dict[str, Any]:
    needed = (name.partition("==")[0] for name in prepared.technique.packages.values())
    packages = ["numpy", "scikit-learn", *needed]
    return {
        "petlab": petlab.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in packages},
        "dataset_sha256": dataset.sha256,
        "settings": asdict(prepared.settings) | prepared.technique.chosen_settings,
        "started": started,
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
