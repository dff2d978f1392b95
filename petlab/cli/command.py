"""What a module of commands is given to add its own, and how a command ends."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Protocol

from petlab.running.result import Status

EXIT = {
    Status.OK: 0,
    Status.UNSUPPORTED: 3,
    Status.MISSING_PACKAGE: 3,
    Status.FAILED: 4,
    Status.TIMEOUT: 4,
}
"""The exit status of a command that ran one cell."""

Run = Callable[[argparse.Namespace], int]
"""Does what a command says and returns the exit status."""


class AddCommand(Protocol):
    """Makes the parser of a new command."""

    def __call__(self, name: str, run: Run, help: str) -> argparse.ArgumentParser:
        """Return the parser, to add arguments to."""


class Group(Protocol):
    """A module of commands."""

    def register(self, add: AddCommand) -> None:
        """Add the module's commands."""
