"""The command line. Every group of commands is a module of `petlab.cli`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from petlab import __version__
from petlab.cli import card, cells, compare, diff, doctor, listing, party, report, scale, sweep
from petlab.cli.command import Group, Run
from petlab.errors import PetlabError

GROUPS: tuple[Group, ...] = (
    listing,
    cells,
    compare,
    scale,
    sweep,
    report,
    diff,
    card,
    party,
    doctor,
)
"""In the order of `petlab --help`."""

_TEACH = """\
first steps:
  petlab list                                   what there is
  petlab run --task logreg --technique he --dataset wdbc
  petlab run --task logreg --technique dp --dataset wdbc --set epsilon=0.5
  petlab plan --task deep --technique dp --dataset digits --set epsilon=3
  petlab audit --task deep --technique dp --dataset digits --set epsilon=3
  petlab sweep notebooks/sweeps/smoke.yml       a grid of notebooks
  petlab report                                 tables and plots of what the sweep left
  petlab compare --task logreg --dataset heart --require "auc_loss<=0.02, trusted!=curator"
  petlab diff BEFORE reports/results            what got worse since

your own table:
  petlab card mine.csv --target outcome > mine.toml      then fill in the public ranges
  petlab run --task logreg --technique fl --data mine.csv --card mine.toml

exit status: 0 ok, 2 usage or data refused, 3 unsupported or package missing, 4 failed;
1 when diff finds a regression"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status."""
    options = command_parser().parse_args(arguments)
    try:
        return options.command(options)
    except PetlabError as error:
        if options.debug:
            raise
        print(f"petlab: {error}", file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:
        return 0
    except OSError as error:
        if options.debug:
            raise
        where = f" ({error.filename})" if error.filename else ""
        print(f"petlab: {error.strerror or error}{where}.", file=sys.stderr)
        return PetlabError.exit_status
    except Exception as error:
        # Status 1 is a regression that `diff` found, and must not mean anything else.
        if options.debug:
            raise
        print(f"petlab: {type(error).__name__}: {error} (--debug shows where).", file=sys.stderr)
        return PetlabError.exit_status
    except KeyboardInterrupt:
        print("petlab: interrupted; results that were finished are kept.", file=sys.stderr)
        return 130


def command_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
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

    def add(name: str, run: Run, help: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=help, description=help, parents=[shared])
        made.set_defaults(command=run)
        return made

    for group in GROUPS:
        group.register(add)
    return parser


if __name__ == "__main__":
    sys.exit(main())
