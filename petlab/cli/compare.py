"""`petlab compare`."""

from __future__ import annotations

import argparse
import json

from petlab.cli.cells import data_name
from petlab.cli.command import AddCommand
from petlab.cli.scale import read_sizes, split
from petlab.core.settings import parse_pairs
from petlab.errors import UsageError
from petlab.running.result import Status


def register(add: AddCommand) -> None:
    """Add the command."""
    compare = add(
        "compare",
        _compare,
        "Run all techniques on your data and say which ones meet your constraints.",
    )
    option = compare.add_argument
    option("--task", required=True, help="chi2, elm, logreg, deep")
    option("--program", help="one of the task's programs; default: all")
    option("--techniques", help="such as he,mpc,fl+dp; default: all")
    option("--dataset", default="wdbc", help="a shipped data set")
    option("--data", help="your own CSV or Parquet file, with --card")
    option("--card", help="its card; `petlab card FILE --target COLUMN` drafts one")
    option(
        "--require",
        metavar="CONSTRAINTS",
        help='such as "auc_loss<=0.02, wan_s<=600, trusted!=curator"',
    )
    option("--prefer", default="wan_s", help="recommend what costs least of this")
    option("--price", nargs="+", metavar="NAME=AMOUNT", help="cpu_h=0.05 gb=0.09: adds `price`")
    option(
        "--to",
        nargs="+",
        metavar="NAME=SIZE",
        help="records=5000000 parties=30: constraints on costs are about this size, extrapolated",
    )
    option("--parties", type=int, help="number of data owners")
    option("--partition", default="iid", help="iid, dirichlet:ALPHA or site")
    option("--seed", type=int, default=0, help="the first seed")
    option("--seeds", type=int, default=3, help="runs of each candidate (default 3)")
    option("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting; repeatable")
    option("--jobs", type=int, default=2, help="candidates at a time (default 2)")
    option("--timeout", type=float, default=600.0, metavar="SECONDS", help="for one candidate")
    option("--out", help="keep the results in this folder, for `petlab report`")
    option("--json", action="store_true", help="print the results as JSON lines, nothing else")


def _compare(options: argparse.Namespace) -> int:
    from petlab.deciding.compare import compare

    if bool(options.data) != bool(options.card):
        raise UsageError("--data and --card go together. `petlab card` drafts a card.")
    comparison = compare(
        options.task,
        program=options.program,
        techniques=options.techniques,
        require=options.require,
        prefer=options.prefer,
        price=parse_pairs(split(options.price)) if options.price else None,
        to=read_sizes(options.to) if options.to else None,
        seeds=options.seeds,
        jobs=options.jobs,
        timeout_s=options.timeout,
        out=options.out,
        dataset=data_name(options),
        data=options.data,
        card=options.card,
        parties=options.parties,
        partition=options.partition,
        seed=options.seed,
        settings=parse_pairs(options.set),
    )
    if options.json:
        for result in comparison.results:
            print(json.dumps(result.to_dict()))
    else:
        print(comparison)
    failed = {Status.FAILED, Status.TIMEOUT} & {r.status for r in comparison.results}
    return 4 if failed else 0
