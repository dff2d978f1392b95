"""Small studies that several test files run, and what they look for in transcripts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from petlab.core.party import Shard, owner_names
from petlab.core.plan import Plan, Public
from petlab.core.session import Opening
from petlab.core.task import Program, Records
from petlab.core.technique import Run
from petlab.data.dataset import find_dataset
from petlab.running.evaluator import evaluate
from petlab.running.registry import find_task, find_technique
from petlab.running.result import Cell, Result

_RESULTS: dict[str, Result] = {}


def evaluated(cell: Cell) -> Result:
    """Result of a cell; the same cell runs once however many tests look at it."""
    if cell.digest not in _RESULTS:
        _RESULTS[cell.digest] = evaluate(cell)
    return _RESULTS[cell.digest]


def records_of(task: str, dataset: str, settings: Any, *, rows: int | None = None) -> Records:
    """Encoded records of a shipped data set, perhaps only the first few."""
    table = find_dataset(dataset).load()
    records = replace(find_task(task).encode(table, settings), keys=table.keys)
    return records if rows is None else records.take(np.arange(rows))


def public_of(records: Records, owners: int) -> Public:
    """What everybody knows of a study: how many owners, and how many records they have."""
    return replace(records.public, owners=owners, records=len(records.labels))


def spread(records: Records, owners: int) -> list[Shard]:
    """Shards of equal size."""
    order = np.random.default_rng([0, 2]).permutation(len(records.labels))
    parts = [np.sort(part) for part in np.array_split(order, owners)]
    names = owner_names(owners)
    pairs = zip(names, (records.take(part) for part in parts), strict=True)
    return [Shard(name, len(part.labels), part.arrays) for name, part in pairs]


def recorded(
    technique: str, program: Program, shards: list[Shard], settings: Any, public: Any
) -> Run:
    """Run a program with every payload kept."""
    records = sum(shard.rows for shard in shards)
    plan: Plan = program.plan(settings, replace(public, owners=len(shards), records=records))
    chosen = find_technique(technique)
    return chosen.execute(program, Opening(shards, plan, record=True, release=chosen.release(plan)))


def raw_record_found(payloads: list[bytes], records: np.ndarray) -> bool:
    """Whether any record stands in any payload, in any usual number format.

    Half a record is searched for, so that a dropped or added column cannot hide it.
    """
    half = max(1, records.shape[1] // 2)
    for needle in _written(records[:, :half]):
        if any(needle in payload for payload in payloads):
            return True
    return False


def _written(rows: np.ndarray) -> Iterator[bytes]:
    for row in rows:
        if len(np.unique(row)) < 3:
            continue  # a run of zeros and ones stands in any message
        yield from (row.astype(kind).tobytes() for kind in ("<f8", "<f4"))
        if np.array_equal(row, np.rint(row)):
            yield from (row.astype(kind).tobytes() for kind in ("<i8", "<i4", "<i2", "i1"))


def payloads(run: Run, *receivers: str) -> list[bytes]:
    """What the named parties read, or all parties if none is named."""
    return [
        m.payload
        for m in run.transcript.messages
        if m.payload is not None and (not receivers or m.receiver in receivers)
    ]


def costs(result: Result) -> Mapping[str, Any]:
    """Cost values by name."""
    return {name: cost.value for name, cost in result.costs.items()}
