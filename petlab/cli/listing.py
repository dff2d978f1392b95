"""`petlab list`."""

from __future__ import annotations

import argparse

from petlab.cli.command import AddCommand
from petlab.listing import LISTS, show


def register(add: AddCommand) -> None:
    """Add the command."""
    listing = add("list", _list, "Show tasks, techniques, data sets and what goes together.")
    listing.add_argument("what", nargs="?", choices=LISTS, help="one of them; default: all")


def _list(options: argparse.Namespace) -> int:
    print(show(options.what))
    return 0
