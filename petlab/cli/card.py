"""`petlab card`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from petlab.cli.command import AddCommand


def register(add: AddCommand) -> None:
    """Add the command."""
    card = add("card", _card, "Draft a card for your own table, on standard output.")
    card.add_argument("file", help="CSV or Parquet file")
    card.add_argument("--target", required=True, help="column to predict or test")
    card.add_argument(
        "--observed-ranges", action="store_true", help="fill in ranges read off the data"
    )


def _card(options: argparse.Namespace) -> int:
    from petlab.data.draft import draft_card

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
