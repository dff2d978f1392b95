"""Measure a cell at a few sizes and say what it would cost at another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from petlab.deciding.scaling.design import Design, design, with_records
from petlab.deciding.scaling.model import Extrapolated
from petlab.deciding.scaling.rounds import extrapolate_costs
from petlab.errors import PetlabError, Unsupported, UsageError
from petlab.running.prepared import prepare
from petlab.running.result import Cell, Result, Status
from petlab.running.run import run_together
from petlab.running.tables import Headed
from petlab.study import rounding
from petlab.study.price import Prices

if TYPE_CHECKING:
    import pandas

COSTS = (
    *("wall_s", "cpu_s", "offline_s", "peak_mib", "bytes", "messages", "rounds"),
    *("lan_s", "wan_s", "offline_bytes"),
)
REPEATS = 5


@dataclass(frozen=True)
class Scaling:
    """A cell's measured costs and what follows from them for another size.

    Attributes
    ----------
    sizes
        The size that was asked about, by variable.
    measured
        Every run.
    costs
        Extrapolated, by name; "price" among them where prices were given.
    """

    cell: Cell
    plan: Design
    sizes: Mapping[str, float]
    measured: tuple[Result, ...]
    costs: Mapping[str, Extrapolated]

    @property
    def frame(self) -> pandas.DataFrame:
        """One row for each cost."""
        import pandas as pd

        rows = [
            {
                "cost": name,
                "measured at most": _shown(name, self._largest(name)),
                "extrapolated (modelled)": _shown(name, found.value),
                "90 % interval": _interval(name, found),
                "grows": _growth(found),
            }
            for name, found in self.costs.items()
        ]
        return pd.DataFrame(rows).set_index("cost")

    def __repr__(self) -> str:
        return repr(Headed(self._heading, self.frame))

    def _repr_html_(self) -> str:
        return Headed(self._heading, self.frame)._repr_html_()

    @property
    def _heading(self) -> str:
        size = ", ".join(f"{rounding.count(n)} {name}" for name, n in self.sizes.items())
        return f"{self.cell.task}/{self.cell.program} {self.cell.technique} at {size}"

    def _largest(self, name: str) -> float | None:
        found = [r.costs[name].value for r in self.measured if name in r.costs]
        return max((float(value) for value in found if value is not None), default=None)


def scale(
    cell: Cell,
    sizes: Mapping[str, float],
    *,
    repeats: int = REPEATS,
    prices: Prices | None = None,
    timeout_s: float | None = None,
) -> Scaling:
    """Measure a cell at three sizes of each variable, and extrapolate.

    Parameters
    ----------
    sizes
        The size asked about: "records" (those for training and those held out together),
        "features", "parties".
    repeats
        Runs at each size, with seeds from the cell's on.

    Raises
    ------
    Unsupported
        The technique cannot run the program.
    UsageError
        A variable is unknown, or the table is too small.
    PetlabError
        A run did not finish.
    """
    if repeats < 1:
        raise UsageError("repeats is at least 1.")
    if cell.release:
        raise UsageError("a release shows no sizes to extrapolate from: leave `release` out.")
    prepared = prepare(cell)
    gap = prepared.technique.gap(prepared.program.requires)
    if gap:
        raise Unsupported(gap.reason)
    plan = design(cell, sizes)
    samples: dict[str, list[Result]] = {}
    asked = [
        (point.cell.digest, replace(point.cell, seed=cell.seed + k))
        for k in range(repeats)
        for point in plan.points
    ]
    results = run_together([one for _, one in asked], timeout_s=timeout_s)
    for (digest, _), result in zip(asked, results, strict=True):
        if result.status is not Status.OK:
            raise PetlabError(f"{result.cell.name} cannot be measured: {result.reason}")
        samples.setdefault(digest, []).append(result)
    if "records" in sizes:
        plan = with_records(plan, {digest: _records(found) for digest, found in samples.items()})
    costs = _costs(plan, samples, sizes)
    if prices:
        costs["price"] = _price(prices, costs)
    return Scaling(cell, plan, dict(sizes), tuple(results), costs)


def _records(results: Sequence[Result]) -> float:
    """Mean number of records, those for training and those held out together."""
    return float(np.mean([sum(r.provenance["records"].values()) for r in results]))


def _costs(
    plan: Design, samples: Mapping[str, Sequence[Result]], sizes: Mapping[str, float]
) -> dict[str, Extrapolated]:
    everything = [result for found in samples.values() for result in found]
    named = [name for name in COSTS if name in everything[0].costs]
    measured = {}
    for name in named:
        if all(name in r.costs and r.costs[name].value is not None for r in everything):
            measured[name] = {
                digest: [float(r.costs[name].value or 0.0) for r in found]
                for digest, found in samples.items()
            }
    costs = extrapolate_costs(plan, measured, sizes)
    none = Extrapolated(None, reason="not measured at every size")
    return {name: costs.get(name, none) for name in named}


def _price(prices: Prices, costs: Mapping[str, Extrapolated]) -> Extrapolated:
    from petlab.core.claims import Cost

    def of(amounts: Mapping[str, float | None]) -> float | None:
        return prices.of({name: Cost(amount, "modelled") for name, amount in amounts.items()})

    value = of({name: found.value for name, found in costs.items()})
    if value is None:
        return Extrapolated(None, reason="a cost that has a price has no law")
    known = {name: found for name, found in costs.items() if found.value is not None}
    low, high = (of({name: found.ends[k] for name, found in known.items()}) for k in (0, 1))
    return Extrapolated(value, low, high, {})


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return rounding.ABSENT
    return rounding.figures(value) if name == "price" else rounding.cost(name, value)


def _interval(name: str, found: Extrapolated) -> str:
    if found.low is None or found.high is None:
        return "exact" if found.value is not None and name != "price" else rounding.ABSENT
    return f"{_shown(name, found.low)} to {_shown(name, found.high)}"


def _growth(found: Extrapolated) -> str:
    if found.reason:
        return f"not used: {found.reason}"
    return ", ".join(f"{term} in {variable}" for variable, term in (found.laws or {}).items())
