"""Where the records of a cell lie: at owners of rows, at owners of columns, or to be scored."""

from __future__ import annotations

from dataclasses import replace

from petlab.core.composing import Guarded
from petlab.core.party import SERVER, Shard, owner_names
from petlab.core.plan import Public
from petlab.core.task import Placement, Records
from petlab.data.partition import Traits, partition
from petlab.errors import UsageError
from petlab.running.prepared import Prepared
from petlab.running.result import Cell

ROW_OWNERS = 3
"""Data owners when a cell does not say."""


def place(prepared: Prepared, train: Records, test: Records) -> tuple[list[Shard], Public]:
    """Put records where the program expects them."""
    cell, program = prepared.cell, prepared.program
    public = train.public
    if program.placement is Placement.ROWS:
        count = cell.parties or _natural(cell, train)
        private = isinstance(prepared.technique, Guarded)
        traits = Traits(train.keys, train.labels, public.classes, train.sites, public.sites)
        parts = partition(cell.partition, traits, count, seed=cell.seed, again=not private)
        shards = [
            _shard(name, train.take(part))
            for name, part in zip(owner_names(len(parts)), parts, strict=True)
        ]
        return shards, replace(public, owners=len(shards), records=len(train.labels))
    if program.placement is Placement.COLUMNS:
        _only(cell, len(program.columns))
        shards = [
            Shard(name, len(train.labels), {column: train[column] for column in columns})
            for name, columns in zip(
                owner_names(len(program.columns)), program.columns, strict=True
            )
        ]
        return shards, replace(public, owners=len(shards))
    _only(cell, 1)
    model = prepared.task.model(train, prepared.settings)
    shards = [_shard("owner-1", test), Shard(SERVER, 0, model)]
    levels = {**public.levels, "scored": len(test.labels)}
    return shards, replace(public, owners=1, levels=levels)


def _natural(cell: Cell, train: Records) -> int:
    if cell.partition == "site" and train.sites is not None:
        return train.public.sites
    return ROW_OWNERS


def _only(cell: Cell, parties: int) -> None:
    if cell.parties not in (None, parties):
        raise UsageError(
            f"{cell.task}/{cell.program} has {parties} data owner(s), no other number: "
            "leave parties out."
        )


def _shard(name: str, records: Records) -> Shard:
    return Shard(name, len(records.labels), records.arrays)
