"""Commands about one cell: `petlab run | plan | audit`."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import MISSING, fields, replace
from pathlib import Path

from petlab.cli.command import EXIT, AddCommand
from petlab.core.settings import parse_pairs
from petlab.errors import PetlabError, UsageError
from petlab.running.result import Cell, Result, Status


def register(add: AddCommand) -> None:
    """Add the commands."""
    run = add("run", _run, "Run one cell and show its accuracy, cost and guarantee.")
    add_cell(run)
    run.add_argument("--timeout", type=float, metavar="SECONDS", help="give up after so long")
    run.add_argument("--json", action="store_true", help="print the result as JSON, nothing else")
    run.add_argument(
        "--release",
        action="store_true",
        help="hand out what the guarantee covers, without anything exact (needs dp)",
    )
    run.add_argument(
        "--budget", metavar="FILE", help="spend from a study's privacy budget, and release"
    )
    plan = add(
        "plan", _plan, "Say what a cell would release and spend: noise for an epsilon, or back."
    )
    add_cell(plan)
    audit = add(
        "audit", _audit, "Train once with mislabelled canaries: a floor under epsilon (deep)."
    )
    add_cell(audit)
    audit.add_argument("--canaries", type=int, default=1000, help="mislabelled records")
    audit.add_argument("--confidence", type=float, default=0.95, help="of the floor")


def add_cell(command: argparse.ArgumentParser) -> None:
    """Add the arguments that name a cell."""
    add = command.add_argument
    add("--task", help="chi2, elm, logreg, deep")
    add("--program", default="sums", help="sums (default), linked, outsourced, score")
    add("--technique", default="cleartext", help="such as he, mpc, fl, dp")
    add("--dataset", default="wdbc", help="a shipped data set")
    add("--data", help="your own CSV or Parquet file, with --card")
    add("--card", help="its card")
    add("--parties", type=int, help="number of data owners")
    add("--partition", default="iid", help="iid, dirichlet:ALPHA or site")
    add("--seed", type=int, default=0, help="of splits and initial models")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting; repeatable")
    add("--cell", help="all of the above as JSON (run: or a list of such): a file, or - for stdin")


def read_cell(options: argparse.Namespace) -> Cell:
    """Make the cell that the arguments of `add_cell` name.

    Raises
    ------
    UsageError
        There is no task, or `--cell` is not a cell.
    """
    found = _read_cells(options)
    if len(found) != 1:
        raise UsageError("--cell holds a list of cells. `petlab run --json` takes lists.")
    return found[0]


def data_name(options: argparse.Namespace) -> str:
    """Name of the data set: the card's, where the user brought a table."""
    if not (options.data and options.card):
        return options.dataset
    from petlab.data.card import read_card

    return read_card(Path(options.card)).name


def _read_cells(options: argparse.Namespace) -> list[Cell]:
    if options.cell:
        _refuse_beside(options)
        try:
            text = sys.stdin.read() if options.cell == "-" else Path(options.cell).read_text()
            asked = json.loads(text)
            return [Cell.from_dict(c) for c in (asked if isinstance(asked, list) else [asked])]
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(f"--cell is not a cell in JSON: {error}.") from None
    if not options.task:
        raise UsageError("--task is missing. `petlab list tasks` shows what there is.")
    return [
        Cell(
            task=options.task,
            program=options.program,
            technique=options.technique,
            dataset=data_name(options),
            parties=options.parties,
            partition=options.partition,
            seed=options.seed,
            settings=parse_pairs(options.set),
            data=options.data,
            card=options.card,
            release=getattr(options, "release", False),
        )
    ]


def _refuse_beside(options: argparse.Namespace) -> None:
    """Refuse options that say again, or otherwise, what `--cell` says."""
    given = ["--set"] if options.set else []
    for field in fields(Cell):
        default = None if field.default is MISSING else field.default
        if getattr(options, field.name, default) != default:
            given.append(f"--{field.name}")
    if given:
        raise UsageError(f"--cell says all of a cell: write {', '.join(given)} into it.")


def _run(options: argparse.Namespace) -> int:
    from petlab.running.evaluator import evaluate
    from petlab.running.run import run_apart

    cells = _read_cells(options)
    if len(cells) > 1 and not options.json:
        raise UsageError("a list of cells prints JSON: add --json.")
    budget = None
    if options.budget:
        from petlab.running.budget import Budget

        budget = Budget(options.budget)
    status = 0
    for cell in cells:
        try:
            if options.timeout is not None:
                result = run_apart(cell, timeout_s=options.timeout, budget=budget)
            else:
                result = evaluate(cell, budget=budget)
        except PetlabError as error:
            if len(cells) == 1:
                raise
            # The others of a list go on; the status says that one was refused.
            print(f"petlab: {error}", file=sys.stderr)
            result = Result(cell, Status.FAILED, str(error))
            status = max(status, error.exit_status)
        else:
            status = max(status, EXIT[result.status])
        if len(cells) > 1:
            print(json.dumps(result.to_dict()), flush=True)
        else:
            _print(result, as_json=options.json)
    return status


def _print(result: Result, *, as_json: bool) -> None:
    if as_json:
        print(result.to_json())
    else:
        from petlab.running.result import summary_text

        print(summary_text(result))


def _plan(options: argparse.Namespace) -> int:
    from petlab.cli.planning import describe_plan

    print(describe_plan(read_cell(options)))
    return 0


def _audit(options: argparse.Namespace) -> int:
    from petlab.attacks.canaries import OVERFITTING, audit

    cell = read_cell(options)
    cell = replace(cell, settings={**OVERFITTING, **cell.settings})
    found = audit(cell, canaries=options.canaries, confidence=options.confidence)
    print(found, *found.notes, sep="\n")
    return 4 if found.refuted else 0
