"""At which sizes a cell is measured: three for each variable, and one more to test the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from petlab.errors import UsageError, unknown
from petlab.running.prepared import dataset_of, prepare
from petlab.running.result import Cell

VARIABLES = ("records", "features", "parties")
"""What can grow: training and test records, features, data owners."""
STEPS = (0.25, 0.5, 1.0)
"""Shares of the largest size at which records and features are measured."""
PARTIES = (2, 4, 8)
FEWEST = {"records": 40, "features": 4}
"""Below this the smallest of three sizes says nothing."""


@dataclass(frozen=True)
class Point:
    """A cell and how large it is."""

    cell: Cell
    sizes: Mapping[str, float]


@dataclass(frozen=True)
class Design:
    """Points to measure.

    Attributes
    ----------
    base
        The point in which all lines meet.
    lines
        For each variable three points, the smallest first.
    corner
        A point off all lines, by which the combination of their laws is tested; or None.
    """

    base: Point
    lines: Mapping[str, tuple[Point, ...]]
    corner: Point | None

    @property
    def points(self) -> list[Point]:
        """All points, each once."""
        found = [self.base, *(p for line in self.lines.values() for p in line)]
        if self.corner:
            found.append(self.corner)
        return list({point.cell.digest: point for point in found}.values())


def design(cell: Cell, variables: Mapping[str, float]) -> Design:
    """Choose the points for a cell and the variables that are to grow.

    Raises
    ------
    UsageError
        A variable is unknown, or the table is too small to be measured at three sizes.
    """
    check_sizes(variables)
    whole = _sizes(cell, variables)
    steps = {name: _steps(name, whole) for name in variables}
    base = {name: values[-1] for name, values in steps.items()}
    if "parties" in base:
        base["parties"] = steps["parties"][0]
    lines = {
        name: tuple(_point(cell, {**base, name: value}) for value in values)
        for name, values in steps.items()
    }
    corner = None
    if len(steps) > 1:
        far = {n: v[-1] if n == "parties" else v[0] for n, v in steps.items()}
        corner = _point(cell, far)
    return Design(_point(cell, base), lines, corner)


def with_records(design: Design, records: Mapping[str, float]) -> Design:
    """Put the records that were measured in place of those asked for.

    A sample has about as many records as asked for: each is kept by a coin of its own.

    Parameters
    ----------
    records
        Mean number of records of each point's runs, by the digest of its cell.
    """

    def corrected(point: Point) -> Point:
        if "records" not in point.sizes:
            return point
        return replace(point, sizes={**point.sizes, "records": records[point.cell.digest]})

    return Design(
        corrected(design.base),
        {name: tuple(map(corrected, line)) for name, line in design.lines.items()},
        corrected(design.corner) if design.corner else None,
    )


def check_sizes(sizes: Mapping[str, float]) -> None:
    """Refuse what cannot grow.

    Raises
    ------
    UsageError
        A variable is unknown, a size is no whole number of at least one, or there is none.
    """
    for name, size in sizes.items():
        if name not in VARIABLES:
            raise unknown("variable", name, VARIABLES)
        if isinstance(size, bool) or not isinstance(size, int | float) or size % 1 or not size >= 1:
            raise UsageError(f"{name}: a size is a whole number of at least one, not {size!r}.")
    if not sizes:
        raise UsageError("name what is to grow, such as records=5000000 or parties=30.")


def _sizes(cell: Cell, variables: Mapping[str, float]) -> dict[str, int]:
    """How many records and features there are, as far as they are asked for."""
    dataset = dataset_of(prepare(cell))
    found = {"features": len(dataset.card.features)}
    if "records" in variables:
        found["records"] = dataset.load().rows
    return found


def _steps(name: str, whole: Mapping[str, int]) -> tuple[int, ...]:
    if name == "parties":
        return PARTIES
    found = tuple(round(whole[name] * step) for step in STEPS)
    if found[0] < FEWEST[name]:
        raise UsageError(
            f"{whole[name]} {name} are too few to measure a quarter and a half of them: "
            f"at least {FEWEST[name] * 4} are needed."
        )
    return found


def _point(cell: Cell, sizes: Mapping[str, int]) -> Point:
    settings = dict(cell.settings)
    if "records" in sizes:
        settings["rows"] = sizes["records"]
    if "features" in sizes:
        settings["features"] = sizes["features"]
    parties = sizes.get("parties", cell.parties)
    return Point(
        replace(cell, settings=settings, parties=parties),
        {name: float(size) for name, size in sizes.items()},
    )
