"""How far a value may move before it counts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from petlab.errors import UsageError, unknown
from petlab.running.result import Result


@dataclass(frozen=True)
class Tolerance:
    """The larger of an absolute amount and a share of the old value."""

    absolute: float = 0.0
    relative: float = 0.0

    def allows(self, old: float) -> float:
        """How far a value may move from `old`."""
        return max(self.absolute, self.relative * abs(old))


SCORE = Tolerance(absolute=0.02)
"""About five of the 230 test records of heart: training rounds differently on other machines."""
ERROR = Tolerance(absolute=1e-6, relative=9.0)
"""Encryption and shares err at random, so an error may become ten times as large."""
SCORES = {"recall_at_precision": Tolerance(absolute=0.05)}
"""A score that jumps, since few records decide it."""
COSTS = {
    # Ciphertexts are compressed and quotes are signed: their length varies a little.
    "bytes": Tolerance(relative=0.05),
    "offline_bytes": Tolerance(relative=0.05),
    "messages": Tolerance(),
    "rounds": Tolerance(),
}
"""Costs that are compared unasked: those that do not depend on the machine."""
ACCOUNTED = {"epsilon": Tolerance(relative=1e-3), "delta": Tolerance()}
"""What an accountant computed: it repeats up to rounding."""


@dataclass(frozen=True)
class Tolerances:
    """The tolerance of everything that is compared.

    Parameters
    ----------
    given
        By name, in place of the defaults.
    """

    given: Mapping[str, Tolerance]

    def of_score(self, name: str) -> Tolerance:
        """The tolerance of a metric."""
        usual = ERROR if name.endswith("_error") else SCORES.get(name, SCORE)
        return self.given.get(name, usual)

    def of_accounted(self, name: str) -> Tolerance:
        """The tolerance of epsilon or delta."""
        return self.given.get(name, ACCOUNTED[name])

    def of_cost(self, name: str) -> Tolerance | None:
        """The tolerance of a cost, or None when it is not compared."""
        return self.given.get(name, COSTS.get(name))


def parse_tolerances(
    texts: Iterable[str], *, old: Sequence[Result], new: Sequence[Result]
) -> Tolerances:
    """Read `accuracy=0.01,bytes=5%`; a percentage is a share of the old value.

    Raises
    ------
    UsageError
        A text is not of that form, or a name is not in the results.
    """
    known, also = _names(old), _names(new)
    given = {}
    for pair in (part for text in texts for part in text.split(",") if part.strip()):
        name, equals, amount = (part.strip() for part in pair.partition("="))
        if not equals:
            raise UsageError(f"--tolerance {pair!r}: expected NAME=0.01 or NAME=5%.")
        if name not in known and name in also:
            raise UsageError(
                f"--tolerance {name}: OLD has no {name}. A baseline keeps no times and no memory; "
                "compare two folders of results."
            )
        if name not in known:
            raise unknown("metric or cost", name, known)
        given[name] = _tolerance(name, amount)
    return Tolerances(given)


def _tolerance(name: str, text: str) -> Tolerance:
    try:
        amount = float(text.removesuffix("%"))
    except ValueError:
        amount = math.nan
    if not amount >= 0:
        raise UsageError(f"--tolerance {name}={text}: expected a number such as 0.01, or 5%.")
    return Tolerance(relative=amount / 100) if text.endswith("%") else Tolerance(absolute=amount)


def _names(results: Sequence[Result]) -> set[str]:
    return {*ACCOUNTED, *(name for r in results for name in (*r.quality, *r.costs))}
