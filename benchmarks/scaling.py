"""Extrapolated costs at four times the largest measured size, against costs measured there.

Run it from the repository: `OMP_NUM_THREADS=1 python benchmarks/scaling.py` (half an hour).
Each cell is measured at three sizes, `petlab.deciding.scaling` extrapolates to four times the
largest, and the cell is measured there, too. In at least nine of ten cells all costs
must come within a quarter of the truth; a cost whose fit is poor is not used and is counted
apart. `--write` puts the table into docs/scaling.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from petlab.data.draft import draft_card
from petlab.deciding.scaling import scale
from petlab.deciding.scaling.design import PARTIES
from petlab.deciding.scaling.law import EXACT
from petlab.deciding.scaling.model import Extrapolated
from petlab.running.result import Cell, Status
from petlab.running.run import run_together

DOC = Path(__file__).resolve().parents[1] / "docs" / "scaling.md"
BEGIN, END = "<!-- begin: benchmarks/scaling.py -->", "<!-- end: benchmarks/scaling.py -->"
TIMES, WITHIN, SHARE = 4, 0.25, 0.9
REPEATS = 5
LARGEST = {"records": 4000, "features": 20, "parties": PARTIES[-1]}
COSTS = ("cpu_s", "bytes", "rounds", "wan_s")
TECHNIQUES = ("fl", "he", "mpc", "tee", "dp", "fl+he", "fl+mpc", "he+dp", "cleartext")
CELLS = (
    *(
        (variable, task, "sums", technique)
        for technique in TECHNIQUES
        for variable, task in (
            ("records", "chi2"),
            ("records", "logreg"),
            ("parties", "chi2"),
            ("records", "elm"),
            ("parties", "logreg"),
            ("features", "logreg"),
        )
    ),
    ("records", "deep", "sums", "fl"),
    ("records", "logreg", "outsourced", "mpc"),
    ("records", "elm", "outsourced", "mpc"),
    ("records", "logreg", "score", "he"),
    ("features", "logreg", "outsourced", "mpc"),
)


@dataclass(frozen=True)
class Checked:
    """One cost of one cell: extrapolated, measured, and within which interval."""

    variable: str
    cell: Cell
    cost: str
    value: float | None
    truth: float
    covered: bool

    @property
    def error(self) -> float:
        """Relative to the truth."""
        return 0.0 if self.value is None else self.value / self.truth - 1


def wide_table(folder: Path) -> dict[str, str]:
    """Write a table with as many features as the largest size needs, and its card."""
    import pandas as pd
    from sklearn.datasets import make_classification

    count = TIMES * LARGEST["features"]
    x, y = make_classification(2000, count, n_informative=count // 2, random_state=0)
    frame = pd.DataFrame(x.round(3), columns=[f"x{k}" for k in range(count)]).assign(y=y)
    data, card = folder / "wide.csv", folder / "wide.toml"
    frame.to_csv(data, index=False)
    card.write_text(draft_card(data, target="y", observed_ranges=True), encoding="utf-8")
    return {"dataset": "wide", "data": str(data), "card": str(card)}


def sized(cell: Cell, variable: str, size: int) -> Cell:
    """A cell of that size."""
    if variable == "parties":
        return replace(cell, parties=size)
    setting = {"records": "rows", "features": "features"}[variable]
    return replace(cell, settings={**cell.settings, setting: size})


def check(variable: str, cell: Cell) -> Iterator[Checked]:
    """Extrapolate the costs of a cell, and measure them."""
    size = LARGEST[variable]
    far = sized(cell, variable, TIMES * size)
    found = scale(sized(cell, variable, size), {variable: TIMES * size}, repeats=REPEATS)
    runs = run_together([replace(far, seed=k) for k in range(REPEATS)])
    for name in COSTS:
        values = [float(r.costs[name].value or 0) for r in runs if r.status is Status.OK]
        if not values:
            print(f"{cell.name}: {runs[0].reason}", file=sys.stderr)
            continue
        truth = float(np.min(values) if name.endswith("_s") else np.mean(values))
        e = found.costs[name]
        yield Checked(variable, cell, name, e.value, truth, _covers(e, values))


def _covers(found: Extrapolated, values: list[float]) -> bool:
    """Whether the interval meets the measured values, up to what two fits differ by anyway."""
    if found.value is None:
        return False
    low, high = found.ends
    return low <= max(values) * (1 + EXACT) and high >= min(values) * (1 - EXACT)


def main() -> int:
    """Print the table; exit with 1 if too few cells are within a quarter of the truth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into the docs")
    parser.add_argument("--only", default="", help="cells whose line has this text")
    options = parser.parse_args()
    checked: list[Checked] = []
    folder = tempfile.TemporaryDirectory()
    data = {
        "records": {"dataset": "taiwan_default"},
        "parties": {"dataset": "german_credit"},
        "features": wide_table(Path(folder.name)),
    }
    for variable, task, program, technique in CELLS:
        if options.only not in f"{variable} {task} {program} {technique}":
            continue
        found = list(check(variable, Cell(task, program, technique, **data[variable])))
        checked += found
        print(
            variable,
            task,
            program,
            technique,
            *(f"{c.cost} {'-' if c.value is None else f'{c.error:+.0%}'}" for c in found),
            flush=True,
        )
        table, share = summary(checked)
        if options.write:  # after every cell: what was measured is kept
            before, _, rest = DOC.read_text(encoding="utf-8").partition(BEGIN)
            _, _, after = rest.partition(END)
            DOC.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")
    table, share = summary(checked)
    print(table)
    return 0 if share >= SHARE else 1


def summary(checked: list[Checked]) -> tuple[str, float]:
    """One line for each variable and cost, and the share of cells within a quarter."""
    lines = [
        "| grows | cost | costs extrapolated | within 25 % of the truth | in the 90 % interval "
        "| largest error | not used |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for variable in LARGEST:
        for cost in COSTS:
            group = [c for c in checked if (c.variable, c.cost) == (variable, cost)]
            if group:
                lines.append(f"| {variable} | {cost} | {_line(group)} |")
    lines.append(f"| all | all | {_line(checked)} |")
    cells: dict[tuple[str, str], list[Checked]] = {}
    for one in checked:
        cells.setdefault((one.variable, one.cell.digest), []).append(one)
    good = sum(all(abs(c.error) <= WITHIN for c in cell) for cell in cells.values())
    said = f"Cells all of whose extrapolated costs are within 25 %: {good} of {len(cells)}."
    return "\n".join([*lines, "", said]), good / max(1, len(cells))


def _line(group: list[Checked]) -> str:
    used = [c for c in group if c.value is not None]
    if not used:
        return f"0 | – | – | – | {len(group)}"
    within = sum(abs(c.error) <= WITHIN for c in used) / len(used)
    covered = sum(c.covered for c in used) / len(used)
    worst = max((c.error for c in used), key=abs)
    return f"{len(used)} | {within:.0%} | {covered:.0%} | {worst:+.0%} | {len(group) - len(used)}"


if __name__ == "__main__":
    sys.exit(main())
