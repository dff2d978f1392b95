"""What the commands of the command line take."""

from __future__ import annotations

import argparse


def add_card(card: argparse.ArgumentParser) -> None:
    """Arguments of `petlab card`."""
    card.add_argument("file", help="CSV or Parquet file")
    card.add_argument("--target", required=True, help="column to predict or test")
    card.add_argument(
        "--observed-ranges", action="store_true", help="fill in ranges read off the data"
    )


def add_grid(sweep: argparse.ArgumentParser, report: argparse.ArgumentParser) -> None:
    """Arguments of `petlab sweep` and `petlab report`."""
    sweep.add_argument("sweep", help="YAML file, such as notebooks/sweeps/smoke.yml")
    sweep.add_argument("--out", default="reports/results", help="folder of results")
    sweep.add_argument("--jobs", type=int, default=1, help="notebooks at a time")
    again = sweep.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="finish what is missing (default)")
    again.add_argument("--fresh", action="store_true", help="run every cell again")
    sweep.add_argument("--allow-failed", action="store_true", help="exit 0 even if a cell failed")
    report.add_argument("--results", default="reports/results", help="folder of results")
    report.add_argument("--out", default="reports/site", help="folder of the report")


def add_cell(run: argparse.ArgumentParser) -> None:
    """Arguments that name a cell."""
    run.add_argument("--task", help="chi2, elm, logreg, deep")
    run.add_argument("--program", default="sums", help="sums (default), linked, outsourced, score")
    run.add_argument("--technique", default="cleartext", help="such as he, mpc, fl, dp")
    run.add_argument("--dataset", default="wdbc", help="a shipped data set")
    run.add_argument("--data", help="your own CSV or Parquet file, with --card")
    run.add_argument("--card", help="its card")
    run.add_argument("--parties", type=int, help="number of data owners")
    run.add_argument("--partition", default="iid", help="iid, dirichlet:ALPHA or site")
    run.add_argument("--seed", type=int, default=0, help="of splits and initial models")
    run.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting; repeatable"
    )
    run.add_argument("--cell", help="all of the above as JSON: a file, or - for standard input")


def add_party(party: argparse.ArgumentParser) -> None:
    """Arguments of `petlab party`."""
    party.add_argument("--rank", type=int, help="0 is the first; the rank after the last deals")
    party.add_argument("--world-size", type=int, default=2, help="compute parties, 2 or 3")
    party.add_argument("--address", metavar="HOST:PORT", help="where the run with mpc listens")
    party.add_argument("--engine", choices=("crypten", "spu"), default="crypten")
    party.add_argument("--secret", default="-", metavar="FILE", help="study secret; - reads stdin")
    party.add_argument("--new-secret", metavar="FILE", help="only write a fresh study secret")
