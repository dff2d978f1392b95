"""Constraints such as "auc_loss<=0.02, wan_s<=600, trusted!=curator"."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from petlab.core.party import AGGREGATOR, ANALYST, CURATOR, DEALER, ENCLAVE, SERVER
from petlab.errors import UsageError, unknown
from petlab.running.result import Result
from petlab.study import words
from petlab.study.price import Prices

LOSS = "_loss"
EXPOSURES = ("membership_auc", "membership_tpr", "membership_advantage")
"""What an attack on the released model achieved."""
PRICE = "price"
NUMBERS = ("epsilon", "delta", "security_bits", "parties", PRICE)
"""Numbers that are neither a score nor a cost."""
PARTIES = (CURATOR, AGGREGATOR, SERVER, ENCLAVE, "chip maker", DEALER, ANALYST, "nobody")
WORDS = {
    "trusted": PARTIES,
    "adversary": ("none", "semi-honest", "malicious"),
    "kind": ("none", "input", "output", "hardware"),
}
"""What is compared with = and != only, and the words it is compared with."""
_NUMBERED = re.compile(r"(party|owner)-\d+")
"""Further parties that can be trusted."""
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_PATTERN = re.compile(r"\s*([\w.]+)\s*(<=|>=|!=|<|>|==|=)\s*(.+?)\s*")


@dataclass(frozen=True)
class Requirement:
    """One constraint.

    Attributes
    ----------
    name
        A score or its loss against cleartext ("auc", "auc_loss"), a cost ("wan_s"), "price",
        what an attack achieved ("membership_auc"), "epsilon", "delta", "security_bits",
        "parties", "trusted", "adversary" or "kind".
    comparator
        "<=", ">=", "<" or ">" for numbers; "=" or "!=" for words.
    limit
        What it is compared with.
    """

    name: str
    comparator: str
    limit: float | str

    def __str__(self) -> str:
        limit = self.limit if isinstance(self.limit, str) else f"{self.limit:g}"
        return f"{self.name}{self.comparator}{limit}"

    @property
    def score(self) -> str | None:
        """The score or the attack's success that it is about; None for everything else."""
        name = self.name.removesuffix(LOSS)
        return name if name in (*words.METRICS, *EXPOSURES) else None

    def allows(self, value: float) -> bool:
        """Whether a number keeps to it."""
        return _COMPARE[self.comparator](value, float(self.limit))


def parse_requirements(text: str | Sequence[str] | None) -> tuple[Requirement, ...]:
    """Read constraints that are separated by commas.

    Raises
    ------
    UsageError
        A part is no constraint, or names what petlab does not measure.
    """
    parts = text.split(",") if isinstance(text, str) else list(text or ())
    return tuple(_parse(part) for part in parts if part.strip())


def refuse_scores_of_nobody(requirements: Iterable[Requirement], results: Iterable[Result]) -> None:
    """Refuse constraints on scores that no result has: they would rule everything out.

    Raises
    ------
    UsageError
        With the scores that there are.
    """
    there = {name for result in results for name in (*result.quality, *result.exposure)}
    for requirement in requirements:
        if there and requirement.score and requirement.score not in there:
            raise unknown("score here", requirement.score, there)


def refuse_unmeasured(
    requirements: Iterable[Requirement], prefer: str, prices: Prices | None
) -> None:
    """Refuse to prefer what is no cost, and to judge by a price that nobody named.

    Raises
    ------
    UsageError
        `prefer` is no cost, or is the price, as a constraint may be, and there are no prices.
    """
    if prefer not in (*words.COSTS, PRICE):
        raise unknown("cost", prefer, [*words.COSTS, PRICE])
    if prices is None and PRICE in (prefer, *(r.name for r in requirements)):
        raise UsageError("there are no prices: add --price cpu_h=0.05 gb=0.09, with your own.")


def known_names() -> list[str]:
    """Everything a constraint can be about."""
    scores = list(words.METRICS)
    losses = [name + LOSS for name in scores]
    return [*losses, *scores, *words.COSTS, *EXPOSURES, *NUMBERS, *WORDS]


def _parse(part: str) -> Requirement:
    found = _PATTERN.fullmatch(part)
    if not found:
        raise UsageError(
            f"{part.strip()!r} is no constraint. Write such as auc_loss<=0.02, wan_s<=600 or "
            "trusted!=curator."
        )
    name, comparator, limit = found.groups()
    if name not in known_names():
        raise unknown("quantity", name, known_names())
    comparator = "=" if comparator == "==" else comparator
    if name in WORDS:
        if comparator not in ("=", "!="):
            raise UsageError(f"{name} is compared with = or !=, not {comparator}.")
        word = limit.lower()
        if word not in WORDS[name] and not (name == "trusted" and _NUMBERED.fullmatch(word)):
            raise unknown(f"word for {name}", word, WORDS[name])
        return Requirement(name, comparator, word)
    if comparator not in _COMPARE:
        raise UsageError(f"{name} is a number: compare it with <=, >=, < or >.")
    try:
        number = float(limit)
    except ValueError:
        number = math.nan
    if math.isnan(number):
        raise UsageError(f"{name}{comparator}{limit}: {limit!r} is no number.")
    return Requirement(name, comparator, number)
