"""`petlab party`."""

from __future__ import annotations

import argparse

from petlab.cli.command import AddCommand
from petlab.errors import UsageError


def register(add: AddCommand) -> None:
    """Add the command."""
    party = add("party", _party, "Join a computation on secret shares from this machine (mpc).")
    party.add_argument("--rank", type=int, help="0 is the first; the rank after the last deals")
    party.add_argument("--world-size", type=int, default=2, help="compute parties, 2 or 3")
    party.add_argument("--address", metavar="HOST:PORT", help="where the run with mpc listens")
    party.add_argument("--engine", choices=("crypten", "spu"), default="crypten")
    party.add_argument("--secret", default="-", metavar="FILE", help="study secret; - reads stdin")
    party.add_argument("--new-secret", metavar="FILE", help="only write a fresh study secret")


def _party(options: argparse.Namespace) -> int:
    from petlab.techniques.mpc.party import Arguments, new_secret, read_secret, serve

    if options.new_secret:
        new_secret(options.new_secret)
        return 0
    if options.rank is None or not options.address:
        raise UsageError("party needs --rank and --address, or --new-secret FILE.")
    if options.engine == "spu":
        from petlab.techniques.mpc.spu.environment import enter

        enter()
    secret = read_secret(options.secret)
    serve(Arguments(options.rank, options.world_size, options.address, secret, options.engine))
    return 0
