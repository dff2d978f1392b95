"""`petlab report`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from petlab.cli.command import EXIT, AddCommand
from petlab.result import Result, Status


def register(add: AddCommand) -> None:
    """Add the command."""
    report = add("report", _report, "Write the report of a folder of results.")
    report.add_argument("--results", default="reports/results", help="folder of results")
    report.add_argument("--out", default="reports/site", help="folder of the report")


def _report(options: argparse.Namespace) -> int:
    from petlab.report import write_report
    from petlab.store import read_results

    results = read_results(Path(options.results))
    command = f"petlab report --results {options.results} --out {options.out}"
    page = write_report(results, Path(options.out), command=command)
    print(_closing(results, page))
    return 0


def _closing(results: Sequence[Result], page: Path) -> str:
    ok = sum(result.status is Status.OK for result in results)
    gaps = [r for r in results if EXIT[r.status] == 3]
    failed = [r for r in results if EXIT[r.status] == 4]
    lines = [f"Report: {page}", f"Cells: {ok} ok, {len(gaps)} not possible, {len(failed)} failed"]
    if gaps:
        lines += ["Not possible (`petlab list support` says more):", *_grouped(gaps)]
    if failed:
        lines += ["Failed:", *sorted(f"  {r.cell.name}: {r.reason}" for r in failed)]
    program = _program()
    lines += [
        "Next:",
        f"  {program} run --task logreg --technique he --dataset heart",
        f"  {program} card YOUR.csv --target COLUMN > YOUR.toml",
        f"  {program} list support",
        "  make lab",
    ]
    return "\n".join(lines)


def _grouped(gaps: Sequence[Result]) -> list[str]:
    """One line a reason: which programs it rules out under which techniques."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    for r in gaps:
        programs, techniques = found.setdefault(str(r.reason), (set(), set()))
        programs.add(f"{r.cell.task}/{r.cell.program}")
        techniques.add(r.cell.technique)
    return [
        f"  {reason}: {', '.join(sorted(programs))} (under {', '.join(sorted(techniques))})"
        for reason, (programs, techniques) in found.items()
    ]


def _program() -> str:
    """Name this command as the user can type it."""
    here = Path.cwd()
    called = here / sys.argv[0]
    on_path = called.name == "petlab" and called.parent.name == "bin"
    if on_path and called.is_relative_to(here):
        return str(called.relative_to(here))
    return "petlab"
