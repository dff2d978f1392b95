"""The command line: `petlab list | run | plan | audit | sweep | report | card | party | doctor`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from petlab import __version__
from petlab.arguments import add_card, add_cell, add_grid, add_party
from petlab.errors import PetlabError, UsageError
from petlab.listing import LISTS, show
from petlab.literals import parse_pairs
from petlab.result import Cell, Result, Status

EXIT = {
    Status.OK: 0,
    Status.UNSUPPORTED: 3,
    Status.MISSING_PACKAGE: 3,
    Status.FAILED: 4,
    Status.TIMEOUT: 4,
}

_TEACH = """\
first steps:
  petlab list                                   what there is
  petlab run --task logreg --technique he --dataset wdbc
  petlab run --task logreg --technique dp --dataset wdbc --set epsilon=0.5
  petlab plan --task deep --technique dp --dataset digits --set epsilon=3
  petlab audit --task deep --technique dp --dataset digits --set epsilon=3
  petlab sweep notebooks/sweeps/smoke.yml       a grid of notebooks
  petlab report                                 tables and plots of what the sweep left

your own table:
  petlab card mine.csv --target outcome > mine.toml      then fill in the public ranges
  petlab run --task logreg --technique fl --data mine.csv --card mine.toml

exit status: 0 ok, 2 usage or data refused, 3 unsupported or package missing, 4 failed"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except PetlabError as error:
        if options.debug:
            raise
        print(f"petlab: {error}", file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        print("petlab: interrupted; results that were finished are kept.", file=sys.stderr)
        return 130


def _list(options: argparse.Namespace) -> int:
    print(show(options.what))
    return 0


def _run(options: argparse.Namespace) -> int:
    from petlab.api import run_apart
    from petlab.evaluator import evaluate

    cell = _cell(options)
    budget = None
    if options.budget:
        from petlab.budget import Budget

        budget = Budget(options.budget)
    if options.timeout:
        result = run_apart(cell, timeout_s=options.timeout, budget=budget)
    else:
        result = evaluate(cell, budget=budget)
    if options.json:
        print(result.to_json())
    else:
        from petlab.tables import summary_text

        print(summary_text(result))
    return EXIT[result.status]


def _plan(options: argparse.Namespace) -> int:
    from petlab.planning import describe_plan

    print(describe_plan(_cell(options)))
    return 0


def _audit(options: argparse.Namespace) -> int:
    from dataclasses import replace

    from petlab.audit import OVERFITTING, audit

    cell = _cell(options)
    cell = replace(cell, settings={**OVERFITTING, **cell.settings})
    found = audit(cell, canaries=options.canaries, confidence=options.confidence)
    print(found, *found.notes, sep="\n")
    return 4 if found.refuted else 0


def _cell(options: argparse.Namespace) -> Cell:
    if options.cell:
        text = sys.stdin.read() if options.cell == "-" else Path(options.cell).read_text()
        try:
            return Cell.from_dict(json.loads(text))
        except (json.JSONDecodeError, TypeError) as error:
            raise UsageError(f"--cell is not a cell in JSON: {error}.") from None
    if not options.task:
        raise UsageError("--task is missing. `petlab list tasks` shows what there is.")
    name = options.dataset
    if options.data and options.card:
        from petlab.card import read_card

        name = read_card(Path(options.card)).name
    return Cell(
        task=options.task,
        program=options.program,
        technique=options.technique,
        dataset=name,
        parties=options.parties,
        partition=options.partition,
        seed=options.seed,
        settings=parse_pairs(options.set),
        data=options.data,
        card=options.card,
    )


def _sweep(options: argparse.Namespace) -> int:
    from petlab.sweep import count_statuses, read_sweep, run_sweep

    sweep = read_sweep(Path(options.sweep))
    results = run_sweep(sweep, Path(options.out), jobs=options.jobs, fresh=options.fresh)
    for result in results:
        if EXIT[result.status] == 4:
            print(f"{result.cell.name}: {result.status}: {result.reason}", file=sys.stderr)
    counts = ", ".join(f"{n} {status}" for status, n in count_statuses(results).items())
    print(f"{len(results)} cells: {counts}. Results: {options.out}")
    failed = any(EXIT[result.status] == 4 for result in results)
    return 4 if failed and not options.allow_failed else 0


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


def _card(options: argparse.Namespace) -> int:
    from petlab.draft import draft_card

    card = draft_card(
        Path(options.file), target=options.target, observed_ranges=options.observed_ranges
    )
    print(card, end="")
    if options.observed_ranges:
        print(
            "petlab: ranges and levels were read off the data and are marked so; epsilon does "
            "not cover them.",
            file=sys.stderr,
        )
    return 0


def _party(options: argparse.Namespace) -> int:
    from petlab.techniques.mpc.party import Arguments, new_secret, read_secret, serve

    if options.new_secret:
        new_secret(options.new_secret)
        return 0
    if options.rank is None or not options.address:
        raise UsageError("party needs --rank and --address, or --new-secret FILE.")
    if options.engine == "spu":
        from petlab.techniques.mpc.spu.environment import enter

        enter()
    secret = read_secret(options.secret)
    serve(Arguments(options.rank, options.world_size, options.address, secret, options.engine))
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from petlab.doctor import examine

    well = True
    for finding in examine():
        well &= finding.well
        print(f"{'ok  ' if finding.well else 'FIX '} {finding.what:<20} {finding.detail}")
    return 0 if well else 4


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="petlab",
        description="Compare privacy-enhancing technologies on the same analysis.",
        epilog=_TEACH,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"petlab {__version__}")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], help: str) -> Command:
        made = commands.add_parser(name, help=help, description=help, parents=[shared])
        made.set_defaults(command=run)
        return made

    listing = command("list", _list, "Show tasks, techniques, data sets and what goes together.")
    listing.add_argument("what", nargs="?", choices=LISTS, help="one of them; default: all")
    run = command("run", _run, "Run one cell and show its accuracy, cost and guarantee.")
    add_cell(run)
    run.add_argument("--timeout", type=float, metavar="SECONDS", help="give up after so long")
    run.add_argument("--json", action="store_true", help="print the result as JSON, nothing else")
    run.add_argument("--budget", metavar="FILE", help="spend from a study's privacy budget")
    plan = command(
        "plan", _plan, "Say what a cell would release and spend: noise for an epsilon, or back."
    )
    add_cell(plan)
    audit = command(
        "audit", _audit, "Train once with mislabelled canaries: a floor under epsilon (deep)."
    )
    add_cell(audit)
    audit.add_argument("--canaries", type=int, default=1000, help="mislabelled records")
    audit.add_argument("--confidence", type=float, default=0.95, help="of the floor")
    add_grid(
        command("sweep", _sweep, "Run a grid of notebooks; what is there already is kept."),
        command("report", _report, "Write the report of a folder of results."),
    )
    add_card(command("card", _card, "Draft a card for your own table, on standard output."))
    add_party(
        command("party", _party, "Join a computation on secret shares from this machine (mpc).")
    )
    command("doctor", _doctor, "Check the environment and say how to fix it.")
    return parser


Command = argparse.ArgumentParser


if __name__ == "__main__":
    sys.exit(main())
