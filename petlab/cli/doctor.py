"""`petlab doctor`."""

from __future__ import annotations

import argparse

from petlab.cli.command import AddCommand


def register(add: AddCommand) -> None:
    """Add the command."""
    add("doctor", _doctor, "Check the environment and say how to fix it.")


def _doctor(options: argparse.Namespace) -> int:
    from petlab.doctor import examine

    well = True
    for finding in examine():
        well &= finding.well
        print(f"{'ok  ' if finding.well else 'FIX '} {finding.what:<20} {finding.detail}")
    return 0 if well else 4
