"""Extrapolated costs at four times the largest measured size, against costs measured there.

Run it from the repository: `OMP_NUM_THREADS=1 python benchmarks/scaling.py` (a quarter of an hour).
Each cell is measured at three sizes, `petlab.scaling` extrapolates to four times the largest,
and the cell is measured there, too. At least nine in ten costs must come within a quarter of the
truth; a cost whose fit is poor is not used and is counted apart. `--write` puts the table into
docs/scaling.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from petlab.api import run_together
from petlab.result import Cell, Status
from petlab.scaling import scale
from petlab.scaling.design import PARTIES

DOC = Path(__file__).resolve().parents[1] / "docs" / "scaling.md"
BEGIN, END = "<!-- begin: benchmarks/scaling.py -->", "<!-- end: benchmarks/scaling.py -->"
TIMES, WITHIN, SHARE = 4, 0.25, 0.9
REPEATS = 3
LARGEST = 4000
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
        )
    ),
    ("records", "deep", "sums", "fl"),
    ("records", "logreg", "outsourced", "mpc"),
    ("records", "elm", "outsourced", "mpc"),
    ("records", "logreg", "score", "he"),
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


def check(variable: str, cell: Cell) -> Iterator[Checked]:
    """Extrapolate the costs of a cell, and measure them."""
    if variable == "records":
        small = replace(cell, settings={**cell.settings, "rows": LARGEST})
        far, size = replace(cell, settings={**cell.settings, "rows": TIMES * LARGEST}), LARGEST
    else:
        small, size = cell, PARTIES[-1]
        far = replace(cell, parties=TIMES * size)
    found = scale(small, {variable: TIMES * size}, repeats=REPEATS)
    runs = run_together([replace(far, seed=k) for k in range(REPEATS)])
    for name in COSTS:
        values = [float(r.costs[name].value or 0) for r in runs if r.status is Status.OK]
        if not values:
            print(f"{cell.name}: {runs[0].reason}", file=sys.stderr)
            continue
        truth = float(np.min(values) if name.endswith("_s") else np.median(values))
        e = found.costs[name]
        covered = (
            e.value is not None
            and (e.low or e.value) <= max(values)
            and (e.high or e.value) >= min(values)
        )
        yield Checked(variable, cell, name, e.value, truth, covered)


def main() -> int:
    """Print the table; exit with 1 if too few costs are within a quarter of the truth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into the docs")
    parser.add_argument("--only", default="", help="cells whose line has this text")
    options = parser.parse_args()
    checked: list[Checked] = []
    for variable, task, program, technique in CELLS:
        if options.only not in f"{variable} {task} {program} {technique}":
            continue
        dataset = "german_credit" if variable == "parties" else "taiwan_default"
        found = list(check(variable, Cell(task, program, technique, dataset)))
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
    """One line for each variable and cost, and the share within a quarter over all."""
    lines = [
        "| grows | cost | costs extrapolated | within 25 % of the truth | in the 90 % interval "
        "| largest error | not used |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for variable in ("records", "parties"):
        for cost in COSTS:
            group = [c for c in checked if (c.variable, c.cost) == (variable, cost)]
            if group:
                lines.append(f"| {variable} | {cost} | {_line(group)} |")
    used = [c for c in checked if c.value is not None]
    share = sum(abs(c.error) <= WITHIN for c in used) / max(1, len(used))
    lines.append(f"| all | all | {_line(checked)} |")
    return "\n".join(lines), share


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
