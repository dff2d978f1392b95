"""Run one cell: load, split, plan, execute, score. A cell never vanishes: it ends as a row."""

from __future__ import annotations

import platform
import time
import traceback
from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from typing import Any

import numpy as np

from petlab.core.claims import Cost, Metric
from petlab.core.plan import Plan
from petlab.core.session import Opening
from petlab.core.task import Answer, Records
from petlab.core.technique import Run
from petlab.data.dataset import Dataset
from petlab.errors import DataError, MissingPackage, PetlabError, Unsupported, UsageError
from petlab.metering.meter import PeakMemory
from petlab.running.budget import Budget
from petlab.running.cautions import cautions
from petlab.running.exposure import exposed
from petlab.running.placement import place
from petlab.running.prepared import (
    Prepared,
    dataset_of,
    load_records,
    named,
    origin,
    plan_cell,
    prepare,
    refuse_private_size,
)
from petlab.running.releasing import check_release, released
from petlab.running.result import Cell, Result, Status

LARGEST_SHOWN = 64
"""Arrays of an answer with more entries stay out of a stored evaluation."""


def evaluate(cell: Cell, *, dataset: Dataset | None = None, budget: Budget | None = None) -> Result:
    """Run one cell in this process and return its result, whatever happens.

    Without `Cell.release` the result is an evaluation: for whoever may look at the data, with
    scores beside the exact reference's. A release holds what its guarantee covers alone.

    Parameters
    ----------
    dataset
        The data set, when it was found already; else by the cell's name or files.
    budget
        The study's privacy budget, which the cell spends from: that makes it a release.

    Raises
    ------
    UsageError
        The cell names something that does not exist, or a release has no epsilon.
    DataError
        The data or its card is refused.
    BudgetExceeded
        The budget does not cover the cell. Nothing was read.
    """
    started = time.time()
    cell = named(replace(cell, release=True) if budget else cell)
    prepared = prepare(cell)
    found = dataset_of(prepared, dataset)
    provenance = _provenance(prepared, found, started)
    gap = prepared.technique.gap(prepared.program.requires)
    if gap:
        result = Result(
            cell, Status.UNSUPPORTED, gap.reason, gap=str(gap.kind), provenance=provenance
        )
        return released(result, budget) if cell.release else result
    if reason := refuse_private_size(prepared, found):
        result = Result(cell, Status.UNSUPPORTED, reason, provenance=provenance)
        return released(result, budget) if cell.release else result
    if cell.release:
        check_release(prepared, found)
    if budget:
        provenance["budget"] = _spend(prepared, found, budget)
    result = _run(prepared, found, provenance)
    return released(result, budget) if cell.release else result


def _run(prepared: Prepared, dataset: Dataset, provenance: dict[str, Any]) -> Result:
    cell = prepared.cell
    try:
        prepared.technique.check_packages()
        train, test = load_records(prepared, dataset)
        # The reference comes first: it imports the libraries that tasks share with it.
        reference = None if cell.release else _reference(prepared, train, test)
        prepared.technique.warm_up()
        run, memory = _execute(prepared, train, test)
        result = Result(
            cell,
            Status.OK,
            costs={**run.costs, "peak_mib": _peak(memory, run.costs["peak_mib"])},
            phases=run.phases,
            guarantee=run.guarantee,
            views=run.views,
            answer=_shown(run.answer, whole=cell.release),
            notes=run.answer.notes,
            provenance={**provenance, "finished": time.time()},
        )
        return (
            result if reference is None else _scored(prepared, result, run, reference, train, test)
        )
    except (UsageError, DataError):
        raise
    except MissingPackage as error:
        return Result(cell, Status.MISSING_PACKAGE, str(error), provenance=provenance)
    except Unsupported as error:
        return Result(cell, Status.UNSUPPORTED, str(error), provenance=provenance)
    except Exception as error:
        return Result(cell, Status.FAILED, _reason(error), provenance=provenance)


def _scored(
    prepared: Prepared,
    result: Result,
    run: Run,
    reference: Answer,
    train: Records,
    test: Records,
) -> Result:
    """Hold a result against the exact reference, and against an attack on its model."""
    quality = prepared.task.score(run.answer, reference, test, prepared.settings)
    quality = {name: _finite(metric) for name, metric in quality.items()}
    exposure = exposed(prepared, (run.answer, reference), (train, test), run.guarantee)
    held_out = len(test.labels) if prepared.task.test_share else 0
    sizes = {"train": len(train.labels), "test": held_out}
    return replace(
        result,
        quality=quality,
        exposure=exposure,
        notes=(
            *result.notes,
            *train.notes,
            *cautions(quality, test.labels if held_out else None, run.guarantee),
        ),
        provenance={**result.provenance, "records": sizes},
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


def _shown(answer: Answer, *, whole: bool) -> Mapping[str, Any]:
    shown = {}
    for name, value in answer.values.items():
        array = np.asarray(value)
        if (whole or array.size <= LARGEST_SHOWN) and np.all(np.isfinite(array)):
            shown[name] = array.tolist()
    return shown


def _provenance(prepared: Prepared, dataset: Dataset, started: float) -> dict[str, Any]:
    needed = (name.partition("==")[0] for name in prepared.technique.packages.values())
    packages = ["numpy", "scikit-learn", *needed]
    return {
        **origin(prepared, dataset),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in packages},
        "started": started,
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
