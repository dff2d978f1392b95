"""`petlab report`."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from petlab.cli.command import EXIT, AddCommand
from petlab.running.result import Result, Status

if TYPE_CHECKING:
    from petlab.report import Written


def register(add: AddCommand) -> None:
    """Add the command."""
    report = add("report", _report, "Write the report of a folder of results: HTML, PDF, tables.")
    option = report.add_argument
    option("--results", default="reports/results", help="folder of results")
    option("--out", default="reports/site", help="folder of the report")
    option("--lang", default="en", help="en or ja (Japanese)")
    option(
        "--require",
        metavar="CONSTRAINTS",
        help='such as "auc_loss<=0.02, wan_s<=600, trusted!=curator": page one then recommends',
    )
    option("--prefer", default="wan_s", help="recommend what costs least of this")
    option("--price", nargs="+", metavar="NAME=AMOUNT", help="cpu_h=0.05 gb=0.09: adds money")


def _report(options: argparse.Namespace) -> int:
    from petlab.cli.scale import split
    from petlab.core.settings import parse_pairs
    from petlab.deciding import Prices, parse_requirements
    from petlab.report import write_report
    from petlab.running.store import read_results

    requirements = parse_requirements(options.require)
    prices = Prices.parse(parse_pairs(split(options.price))) if options.price else None
    results = read_results(Path(options.results))
    written = write_report(
        results,
        Path(options.out),
        command=_command(options),
        language=options.lang,
        requirements=requirements,
        prefer=options.prefer,
        prices=prices,
    )
    print(_closing(results, written))
    return 0


def _command(options: argparse.Namespace) -> str:
    """What the user types to get the same report, without the options that have no effect."""
    words = ["petlab", "report", "--results", options.results, "--out", options.out]
    words += ["--lang", options.lang] if options.lang != "en" else []
    words += ["--require", options.require] if options.require else []
    words += ["--prefer", options.prefer] if options.prefer != "wan_s" else []
    words += ["--price", *options.price] if options.price else []
    return shlex.join(words)


def _closing(results: Sequence[Result], written: Written) -> str:
    ok = sum(result.status is Status.OK for result in results)
    gaps = [r for r in results if EXIT[r.status] == 3]
    failed = [r for r in results if EXIT[r.status] == 4]
    lines = [f"Report: {written.page}"]
    lines.append(f"PDF: {written.pdf}" if written.pdf else f"No PDF: {written.missing}")
    lines.append(f"Cells: {ok} ok, {len(gaps)} not possible, {len(failed)} failed")
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
