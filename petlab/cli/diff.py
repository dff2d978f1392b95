"""`petlab diff`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from petlab.cli.command import AddCommand
from petlab.errors import UsageError
from petlab.running.result import Status

_EXPLAIN = """\
Every cell of OLD is compared with the same cell of NEW. A regression is: a status that got
worse; a score that got worse, or a cost that rose, by more than its tolerance; a weaker
guarantee (kind, who is trusted, adversary, security bits, epsilon, delta); a cell that vanished.
New cells and improvements are shown and are no failure.

tolerances: NAME=0.01 is an amount, NAME=5% a share of the old value, NAME=inf leaves it out.
  scores        0.02 (recall_at_precision 0.05); errors may become ten times as large
  bytes         5%, offline_bytes too; messages and rounds: none
  epsilon       0.1%
  times, memory depend on the machine: compared only when --tolerance names them

noise: scores under differential privacy differ from run to run. They are compared over three
  or more seeds of the same cell on both sides: their mean must have moved by more than the
  tolerance, and by more than chance explains (Student's t, one-sided p < 0.001). With fewer
  seeds only status, traffic and guarantee are compared, and the last line says so.

examples:
  petlab diff --write-baseline reports/baseline/smoke.jsonl reports/results
  petlab diff reports/baseline/smoke.jsonl reports/results --tolerance accuracy=0.01,bytes=5%
  petlab diff before/ after/ --tolerance wall_s=50% --junit diff.xml

exit status: 0 nothing got worse, 1 a regression, 2 usage"""


def register(add: AddCommand) -> None:
    """Add the command."""
    diff = add("diff", _diff, "Compare results with earlier ones; exit 1 if anything got worse.")
    diff.formatter_class = argparse.RawDescriptionHelpFormatter
    diff.epilog = _EXPLAIN
    diff.add_argument("old", metavar="OLD", help="folder of results, or a baseline file")
    diff.add_argument("new", metavar="NEW", nargs="?", help="folder of results, or a baseline")
    diff.add_argument(
        "--tolerance", action="append", default=[], metavar="NAME=X[%],...", help="see below"
    )
    diff.add_argument("--junit", metavar="FILE", help="also write JUnit XML, one test a cell")
    diff.add_argument("--write-baseline", metavar="FILE", help="write OLD to a baseline file")


def _diff(options: argparse.Namespace) -> int:
    from petlab.deciding import diff

    old = diff.read_side(Path(options.old))
    if options.write_baseline:
        if options.new or options.junit or options.tolerance:
            raise UsageError("--write-baseline FILE takes one folder of results, nothing else.")
        diff.write_baseline(old, Path(options.write_baseline))
        failed = sum(r.status in (Status.FAILED, Status.TIMEOUT) for r in old)
        if failed:
            print(
                f"petlab: cells of the baseline that failed or timed out: {failed}. That they "
                "fail again will be no regression.",
                file=sys.stderr,
            )
        print(f"{len(old)} cells: {options.write_baseline}")
        return 0
    if not options.new:
        raise UsageError("diff needs OLD and NEW, or --write-baseline FILE RESULTS.")
    new = diff.read_side(Path(options.new))
    tolerances = diff.parse_tolerances(options.tolerance, old=old, new=new)
    diffs = diff.compare_results(old, new, tolerances)
    if options.junit:
        diff.write_junit(diffs, Path(options.junit))
    print(diff.diff_text(diffs))
    return 1 if any(found.verdict.is_regression for found in diffs) else 0
