"""A cell with everything that it names looked up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from petlab.result import Cell
from petlab.task import Program, Task
from petlab.technique import Technique


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
