"""Short cells of mpc by the thousand, on a machine that is busy with something else.

Run it from the repository: `OMP_NUM_THREADS=1 nice python benchmarks/soak.py --cells 2000` (a
second or two a cell). Every processor also runs a loop that never waits. What fails is printed
with its reason; the exit status is 1 if anything did.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter

from petlab.running.evaluator import evaluate
from petlab.running.progress import progress
from petlab.running.result import Cell, Status

CELLS = (
    Cell("chi2", "sums", "mpc", "apoe"),
    Cell("chi2", "linked", "mpc", "apoe"),
    Cell("elm", "sums", "fl+mpc", "heart", settings={"hidden": 8}),
    Cell("logreg", "outsourced", "mpc", "heart", settings={"outsourced_steps": 1}),
)


def spin() -> None:
    """Keep a processor busy."""
    while True:
        sum(range(10_000))


def main() -> int:
    """Run the cells one after another, beside the load."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=2000)
    wanted = parser.parse_args().cells
    load = [multiprocessing.Process(target=spin, daemon=True) for _ in range(os.cpu_count() or 1)]
    for process in load:
        process.start()
    reasons: Counter[str] = Counter()
    begun = time.perf_counter()
    results = (evaluate(CELLS[k % len(CELLS)]) for k in range(wanted))
    for done, result in enumerate(progress(results, total=wanted, unit="cell"), start=1):
        if done % 100 == 0:
            print(f"{done} cells, {reasons.total()} failed", flush=True)
        if result.status is not Status.OK:
            reasons[f"{result.cell.name}: {result.reason}"] += 1
    for process in load:
        process.kill()
    print(f"{wanted} cells in {time.perf_counter() - begun:.0f} s, {reasons.total()} failed")
    for reason, count in reasons.most_common():
        print(f"{count:5}  {reason}")
    return bool(reasons)


if __name__ == "__main__":
    sys.exit(main())
