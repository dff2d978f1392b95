"""Two uses of a result, told apart: what an evaluator may look at, and what may leave the house.

An *evaluation* is a benchmark on data that one may look at. It holds everything: the noisy
answer beside the exact one, scores on test records, an attack's success, sizes to the byte and
the checksum of the table. Each of these undoes epsilon: the exact statistic follows from the
noisy one and its error, a record from a checksum that everything but it is known of. A
*release* holds what its guarantee covers, and nothing that was computed from the records
besides.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from dataclasses import replace
from typing import Any

from petlab.core.claims import Cost
from petlab.data.dataset import Dataset
from petlab.errors import UsageError
from petlab.running.budget import Budget
from petlab.running.prepared import Prepared, plan_cell
from petlab.running.result import Result, Status

PUBLIC_COSTS = ("messages", "rounds")
"""Costs that follow from the program and the number of owners alone."""
TIMES = ("wall_s", "cpu_s")
"""Shown to one digit."""
PRIVATE_PROVENANCE = ("dataset_sha256", "records")


def check_release(prepared: Prepared, dataset: Dataset) -> None:
    """Refuse to release what no epsilon covers.

    Raises
    ------
    UsageError
        The technique has no differential privacy, or only a twin of it.
    """
    if not prepared.technique.events(plan_cell(prepared, dataset)):
        raise UsageError(
            f"{prepared.cell.technique}: opens results without differential privacy, so that no "
            "guarantee covers a release. Use a technique that ends in dp, without a twin."
        )


def released(result: Result, budget: Budget | None) -> Result:
    """Take everything out of a result that its guarantee does not cover.

    Parameters
    ----------
    budget
        Keeps the salt under which the table's checksum is given, so that its owner can show
        later which table a release came from; without a budget there is no checksum.
    """
    ok = result.status is Status.OK
    failed = result.status in (Status.FAILED, Status.TIMEOUT)
    return replace(
        result,
        reason=_WHY_NOT if failed else result.reason,
        quality={},
        exposure={},
        costs=_costs(result) if ok else {},
        phases={},
        views={
            party: [{k: v for k, v in entry.items() if k != "bytes"} for entry in entries]
            for party, entries in result.views.items()
        },
        notes=(*result.notes, _NOTE) if ok else result.notes,
        provenance=_provenance(result, budget),
    )


_WHY_NOT = "failed; the reason may hold data and is not released: evaluate the cell to see it."
_NOTE = (
    "Released: sizes, phases and everything that was compared with the truth are left out; "
    "times are rounded to one digit and not covered by epsilon."
)


def _costs(result: Result) -> dict[str, Cost]:
    kept = {name: result.costs[name] for name in PUBLIC_COSTS if name in result.costs}
    times = {
        name: replace(result.costs[name], value=_one_digit(result.costs[name].value))
        for name in TIMES
        if name in result.costs
    }
    return {**times, **kept}


def _one_digit(value: float | None) -> float | None:
    if not value:
        return value
    return round(value, -math.floor(math.log10(abs(value))))


def _provenance(result: Result, budget: Budget | None) -> dict[str, Any]:
    kept = {k: v for k, v in result.provenance.items() if k not in PRIVATE_PROVENANCE}
    checksum = result.provenance.get("dataset_sha256")
    if budget is None or not budget.salt or checksum is None:
        return kept
    salted = hmac.new(budget.salt, str(checksum).encode(), hashlib.sha256).hexdigest()
    return {**kept, "dataset_hmac_sha256": salted}
