"""Errors and traffic of what multiparty computation does to shares, over declared ranges.

Run it from the repository: `OMP_NUM_THREADS=1 python benchmarks/functions.py` (half a minute).
Each function is computed on shares of 20,000 numbers spread over its range, edges included, and
compared with numpy in double precision. The excess is the largest error beyond 1 % of the value,
which must stay under 2^-12 = 0.00024. `--write` puts the table into docs/mpc.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from petlab.core.party import ANALYST, DEALER, Shard
from petlab.core.plan import Plan, Public
from petlab.core.session import Opening
from petlab.running.registry import find_technique

DOC = Path(__file__).resolve().parents[1] / "docs" / "mpc.md"
BEGIN, END = "<!-- begin: benchmarks/functions.py -->", "<!-- end: benchmarks/functions.py -->"
COUNT = 20_000
PARTIES = 2
COLUMNS = 10


@dataclass(frozen=True)
class Case:
    """One function on one declared range."""

    name: str
    low: float
    high: float
    exact: Callable[[np.ndarray], np.ndarray]
    options: dict[str, float]
    spread: str = "linear"

    def points(self) -> np.ndarray:
        """Numbers over the range, edges included."""
        space = np.geomspace if self.spread == "log" else np.linspace
        points = space(self.low, self.high, COUNT)
        np.random.default_rng(0).shuffle(points)
        return points.reshape(-1, COLUMNS)


def softmax(x: np.ndarray) -> np.ndarray:
    """Row by row."""
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def positive(name: str, low: float, high: float, exact: Any) -> Case:
    """A function of positive numbers."""
    return Case(name, low, high, exact, {"low": low, "high": high}, "log")


CASES = (
    Case("multiply", -1000, 1000, np.square, {}),
    Case("positive", -16, 16, lambda x: (x > 0).astype(float), {}),
    Case("exp", -16, 4, np.exp, {"low": -16, "high": 4}),
    Case("exp", -64, 0, np.exp, {"low": -64, "high": 0}),
    positive("reciprocal", 1, 10, lambda x: 1 / x),
    positive("reciprocal", 2**-6, 2**6, lambda x: 1 / x),
    positive("inv_sqrt", 2**-9, 2**14, lambda x: 1 / np.sqrt(x)),
    positive("inv_sqrt", 2**-12, 1, lambda x: 1 / np.sqrt(x)),
    Case("sigmoid", -16, 16, lambda x: 1 / (1 + np.exp(-x)), {"bound": 16}),
    Case("sigmoid", -64, 64, lambda x: 1 / (1 + np.exp(-x)), {"bound": 64}),
    Case("softmax", -16, 16, softmax, {"bound": 16}),
    Case("softmax", -64, 64, softmax, {"bound": 64}),
)


@dataclass(frozen=True)
class Measured:
    """Largest error, largest error beyond 1 %, rounds, and bytes an entry from whom."""

    error: float
    excess: float
    rounds: int
    parties: float
    dealer: float


def measured(session: Any, case: Case) -> Measured:
    """Compute one function; sharing and opening are taken off the rounds and the bytes."""
    points, transcript = case.points(), session.transcript
    shared = session.share(lambda shard: points, owner="owner-1")
    session.reveal(shared, to=ANALYST)
    sent, before = len(transcript.messages), transcript.rounds
    session.reveal(shared, to=ANALYST)
    opening = transcript.rounds - before
    before = transcript.rounds
    operands = [shared, shared] if case.name == "multiply" else [shared]
    found = session.reveal(getattr(session, case.name)(*operands, **case.options), to=ANALYST)
    rounds = transcript.rounds - before - opening
    between = [m for m in transcript.messages[sent:] if m.label == "opening"]
    dealt = [m for m in transcript.messages[sent:] if m.sender == DEALER]
    # What the parties saw was rounded to 2^-20 first.
    exact = case.exact(np.rint(points * 2**20) / 2**20)
    error = np.abs(found - exact)
    excess = float((error - 0.01 * np.abs(exact)).max())
    return Measured(
        error=float(error.max()),
        excess=max(0.0, excess),
        rounds=rounds,
        parties=sum(m.size for m in between) / PARTIES / COUNT,
        dealer=sum(m.size for m in dealt) / COUNT,
    )


def table() -> str:
    """Markdown."""
    plan = Plan(
        None,
        Public(),
        releases=3 * len(CASES),
        value_max=2.0**14,
        shapes={"values": (COUNT // COLUMNS, COLUMNS)},
    )
    technique = find_technique("mpc")
    technique.warm_up()
    session = technique.open(Opening([Shard("owner-1", 1, {})], plan))
    lines = [
        "| function | range | largest error | beyond 1 % | rounds | bytes an entry from each party "
        "| from the dealer |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    try:
        for case in CASES:
            m = measured(session, case)
            lines.append(
                f"| {case.name} | [{case.low:g}, {case.high:g}] | {m.error:.1e} | {m.excess:.1e} "
                f"| {m.rounds} | {m.parties:.0f} | {m.dealer:.0f} |"
            )
    finally:
        session.close()
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOC.name}")
    options = parser.parse_args()
    found = table()
    print(found)
    if options.write:
        text = DOC.read_text(encoding="utf-8")
        head, _, rest = text.partition(BEGIN)
        DOC.write_text(f"{head}{BEGIN}\n{found}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
