"""A process that runs a program far from the analyst: names and arrays in, arrays out."""

from __future__ import annotations

import json
import sys

from petlab.core.contribution import resolve
from petlab.core.party import Shard
from petlab.core.plan import Public
from petlab.core.session import Opening
from petlab.metering import wire
from petlab.techniques.cleartext import CleartextSession


def main() -> None:
    """Read a request from standard input, run it, write packed answers to standard output."""
    length = int(sys.stdin.buffer.readline())
    request = json.loads(sys.stdin.buffer.read(length))
    arrays = wire.unpack(sys.stdin.buffer.read())
    program = resolve(request["program"])
    public = Public(**{**request["public"], "features": tuple(request["public"]["features"])})
    plan = program.plan(resolve(request["settings_kind"])(**request["settings"]), public)
    shards = [
        Shard(
            owner,
            rows,
            {
                name.partition("/")[2]: values
                for name, values in arrays.items()
                if name.startswith(owner + "/")
            },
        )
        for owner, rows in request["owners"]
    ]
    answer = program(CleartextSession(Opening(shards, plan, seed=request["seed"])), plan)
    sys.stdout.buffer.write(wire.pack(answer.values))


if __name__ == "__main__":
    main()
