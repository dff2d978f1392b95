"""A cell with everything that it names looked up, and the records it is about."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from petlab.core.composing import Guarded
from petlab.core.plan import Plan, Public
from petlab.core.settings import LARGEST, Setting, split_settings
from petlab.core.task import Placement, Program, Records, Task
from petlab.core.technique import Technique
from petlab.data.card import read_card
from petlab.data.dataset import Dataset, find_dataset
from petlab.data.partition import check_partition, split
from petlab.data.subset import SAMPLING, sample
from petlab.data.table import empty_table
from petlab.errors import DataError, UsageError
from petlab.running.registry import find_program, find_task, find_technique, setting_owners
from petlab.running.result import Cell


@dataclass(frozen=True)
class Prepared:
    """A cell with everything looked up and checked, before data is touched."""

    cell: Cell
    task: Task
    program: Program
    technique: Technique
    settings: Any
    records_max: int | None
    sampling: Mapping[str, int]


def named(cell: Cell) -> Cell:
    """Return the cell under the name of its data: of the card, where the user brought one.

    Raises
    ------
    DataError
        The card is refused.
    """
    if not (cell.data and cell.card):
        return cell
    return replace(cell, dataset=read_card(Path(cell.card)).name)


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
    for chosen in (settings, *technique.every_chosen):
        if check := getattr(chosen, "check", None):
            check()
    limit = None if records_max is None else whole_number("records_max", records_max)
    return Prepared(cell, task, program, technique, settings, limit, sampling)


def whole_number(name: str, value: Setting) -> int:
    """Read a setting that counts something.

    Raises
    ------
    UsageError
        It is no whole number.
    """
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else 0
    if 1 <= number <= LARGEST and not number % 1:
        return int(number)
    raise UsageError(f"{name} is a whole number of at least 1, not {value!r}.")


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


def origin(prepared: Prepared, dataset: Dataset) -> dict[str, Any]:
    """What a result comes from: it is another result when any of this is another.

    Returns
    -------
    petlab's version, checksums of the data and of what its card says, and all settings, those
    that are defaults included.
    """
    return {
        "petlab": metadata.version("petlab"),
        "dataset_sha256": dataset.sha256,
        "card_sha256": hashlib.sha256(repr(dataset.card).encode()).hexdigest(),
        "settings": asdict(prepared.settings) | prepared.technique.chosen_settings,
    }


def refuse_private_size(prepared: Prepared, dataset: Dataset) -> str | None:
    """Say why a sample cannot be drawn under differential privacy, if it cannot.

    The chance of a record to be in the sample must not depend on the other records.
    """
    guarded = isinstance(prepared.technique, Guarded)
    if not guarded or "rows" not in prepared.sampling or dataset.card.records is not None:
        return None
    return (
        "rows= needs a public number of records to draw from, where differential privacy holds: "
        "write `records = ABOUT_HOW_MANY` into the card if that is public."
    )


def plan_cell(prepared: Prepared, dataset: Dataset) -> Plan:
    """Plan a cell from its card alone, before any record is read."""
    empty = empty_table(dataset.card)
    public = _public(prepared, prepared.task.encode(empty, prepared.settings), dataset)
    if prepared.program.placement is Placement.SCORING:
        public = replace(public, levels={**public.levels, "scored": 0})
    return prepared.program.plan(prepared.settings, public)


def _public(prepared: Prepared, records: Records, dataset: Dataset) -> Public:
    card = dataset.card
    public = replace(
        records.public,
        observed=card.observed,
        classes=len(card.classes),
        sites=len(card.columns[card.site].levels) if card.site else 0,
    )
    if prepared.records_max is not None:
        public = replace(public, records_max=prepared.records_max)
    return public


def load_records(prepared: Prepared, dataset: Dataset) -> tuple[Records, Records]:
    """Training and test records, encoded; the same for every technique.

    Raises
    ------
    DataError
        There are more records than the public ceiling, none is left for testing, or a class
        has no training record.
    """
    return parted(prepared, encoded_records(prepared, dataset))


def parted(prepared: Prepared, records: Records) -> tuple[Records, Records]:
    """Training and test records; see `load_records`."""
    if not prepared.task.test_share:
        return records, records
    seed = prepared.cell.seed
    if prepared.cell.release:  # nothing is scored, so that nothing has to be set aside
        return records, records
    train, test = (
        records.take(index) for index in split(records.keys, prepared.task.test_share, seed=seed)
    )
    if not len(test.labels) or len(np.unique(train.labels)) < len(np.unique(records.labels)):
        raise DataError(
            "too few records for a training and a test part: a class is missing from the first, "
            "or the second is empty. Use more records, or another seed."
        )
    return train, test


def encoded_records(prepared: Prepared, dataset: Dataset) -> Records:
    """All records that a cell uses, encoded, before they are split."""
    task, card = prepared.task, dataset.card
    table, left_out = dataset.load().complete(task.columns(card, prepared.settings))
    records = task.encode(table, prepared.settings)
    public = _public(prepared, records, dataset)
    if table.rows > public.records_max:
        raise DataError(
            f"the table has more than records_max = {public.records_max} records. Set "
            "records_max to a public ceiling."
        )
    if prepared.program.placement is Placement.COLUMNS and card.id:
        _refuse_duplicates(table.values[card.id], card.id)
    notes = tuple(
        f"{count:,} records were left out: column {name} has no value (missing = drop)."
        for name, count in left_out.items()
    )
    return replace(
        records,
        public=public,
        sites=table.values[card.site] if card.site else None,
        keys=table.keys,
        seed=prepared.cell.seed,
        notes=records.notes + notes,
    )


def _refuse_duplicates(ids: np.ndarray, column: str) -> None:
    _, first, counts = np.unique(ids, return_index=True, return_counts=True)
    if (counts > 1).any():
        row = int(first[counts > 1].min()) + 1
        raise DataError(
            f"row {row}, column {column}: this ID stands twice, so the owners' columns cannot "
            "be linked. Remove the duplicates."
        )
