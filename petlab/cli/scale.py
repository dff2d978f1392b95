"""`petlab scale`."""

from __future__ import annotations

import argparse
from typing import Any

from petlab.cli.cells import add_cell, read_cell
from petlab.cli.command import AddCommand
from petlab.core.settings import parse_pairs


def register(add: AddCommand) -> None:
    """Add the command."""
    command = add(
        "scale", _scale, "Measure a cell at three sizes and say what it would cost at another."
    )
    add_cell(command)
    command.add_argument(
        "--to",
        nargs="+",
        required=True,
        metavar="NAME=SIZE",
        help="records=5000000 features=50 parties=30: one or more of them",
    )
    command.add_argument("--repeats", type=int, default=5, help="runs at each size (default 5)")
    command.add_argument(
        "--price", nargs="+", metavar="NAME=AMOUNT", help="cpu_h=0.05 gb=0.09: adds the price"
    )
    command.add_argument("--timeout", type=float, metavar="SECONDS", help="for all runs")


def _scale(options: argparse.Namespace) -> int:
    from petlab.deciding import Prices
    from petlab.deciding.scaling import scale

    prices = Prices.parse(parse_pairs(split(options.price))) if options.price else None
    found = scale(
        read_cell(options),
        read_sizes(options.to),
        repeats=options.repeats,
        prices=prices,
        timeout_s=options.timeout,
    )
    print(found)
    return 0


def read_sizes(pairs: list[str]) -> dict[str, float]:
    """Read such as ["records=5e6", "parties=30"].

    Raises
    ------
    UsageError
        A name is unknown, or a size is no whole number of at least one.
    """
    from petlab.deciding.scaling.design import check_sizes

    found: dict[str, Any] = dict(parse_pairs(split(pairs)))
    check_sizes(found)
    return {name: float(value) for name, value in found.items()}


def split(pairs: list[str]) -> list[str]:
    """Texts that were separated by commas, spaces or both."""
    return [part.strip() for pair in pairs for part in pair.split(",") if part.strip()]
