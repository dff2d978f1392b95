"""`petlab sweep`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from petlab.cli.command import EXIT, AddCommand


def register(add: AddCommand) -> None:
    """Add the command."""
    sweep = add("sweep", _sweep, "Run a grid of notebooks; what is there already is kept.")
    sweep.add_argument("sweep", help="YAML file, such as notebooks/sweeps/smoke.yml")
    sweep.add_argument("--out", default="reports/results", help="folder of results")
    sweep.add_argument("--jobs", type=int, default=1, help="notebooks at a time")
    sweep.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="scheduler of a Dask cluster that runs the notebooks; its workers replace --jobs",
    )
    again = sweep.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="finish what is missing (default)")
    again.add_argument("--fresh", action="store_true", help="run every cell again")
    sweep.add_argument("--allow-failed", action="store_true", help="exit 0 even if a cell failed")


def _sweep(options: argparse.Namespace) -> int:
    from petlab.running.sweep import count_statuses, read_sweep, run_sweep

    sweep = read_sweep(Path(options.sweep))
    results = run_sweep(
        sweep,
        Path(options.out),
        jobs=options.jobs,
        fresh=options.fresh,
        address=options.address,
    )
    for result in results:
        if EXIT[result.status] == 4:
            print(f"{result.cell.name}: {result.status}: {result.reason}", file=sys.stderr)
    counts = ", ".join(f"{n} {status}" for status, n in count_statuses(results).items())
    print(f"{len(results)} cells: {counts}. Results: {options.out}")
    failed = any(EXIT[result.status] == 4 for result in results)
    return 4 if failed and not options.allow_failed else 0
