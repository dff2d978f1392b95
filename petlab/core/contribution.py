"""What an owner adds to a sum, with the public bounds that every technique needs."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from petlab.core.aggregation import Bound
from petlab.core.party import Memory, Shard
from petlab.core.rows import Rows
from petlab.errors import ProtocolError, UsageError

State = dict[str, np.ndarray]
"""Named public arrays that the program broadcasts to the owners."""


@dataclass(frozen=True, kw_only=True)
class Contribution:
    """A sum over units of privacy, declared before any data is touched.

    Attributes
    ----------
    fn
        Module-level function `(state, shard, memory) -> Rows`, run at each owner.
    shape
        Shape of the total.
    unit
        What one row stands for: "person", "record" or "owner".
    unit_norm
        Public bound on the Euclidean norm of one row, or None where there is none.
    unit_norm_l1
        Public bound on the L1 norm of one row, or None.
    coordinate_max
        Public bound on the magnitude of each coordinate of one row.
    integer
        Rows are integers, so that exact arithmetic and discrete noise fit.
    on_excess
        What differential privacy does to a row over `unit_norm`: scale it down or refuse.
    weighted
        Name of the state array that is averaged: the total is weight times values, and last
        the weight (federated averaging).
    local_steps
        Every step behind an owner's total goes through `Shard.steps`, so that differential
        privacy can act there.
    min_units
        Owners with fewer units are refused where their contribution is read by itself: it
        would show them.
    """

    fn: Callable[[State, Shard, Memory], Rows]
    shape: tuple[int, ...]
    unit: str = "person"
    unit_norm: float | None = None
    unit_norm_l1: float | None = None
    coordinate_max: float
    integer: bool = False
    on_excess: Literal["clip", "refuse"] = "clip"
    weighted: str | None = None
    local_steps: bool = False
    min_units: int = 1

    def __post_init__(self) -> None:
        if not self.coordinate_max > 0 or not math.isfinite(self.coordinate_max):
            raise UsageError("coordinate_max must be a positive, finite bound.")
        qualified_name(self.fn)

    @property
    def size(self) -> int:
        """Coordinates of the total."""
        return math.prod(self.shape)

    def bound(self, records_max: int) -> Bound:
        """Bound one owner's total, when the study has at most `records_max` records."""
        units = 1 if self.unit == "owner" else records_max
        return Bound(self.coordinate_max * units, self.integer)


@dataclass(frozen=True)
class Noise:
    """The noise that a total is known to carry: public knowledge, usable by the program.

    Attributes
    ----------
    mechanism
        "laplace" (discrete) or "gaussian".
    scale
        Scale b of the Laplace distribution, or standard deviation of the Gaussian.
    terms
        How many independent draws it is the sum of; not a whole number where owners add shares
        of Laplace noise of which some would have sufficed.
    """

    mechanism: Literal["laplace", "gaussian"]
    scale: float
    terms: float = 1

    @property
    def deviation(self) -> float:
        """Standard deviation of the whole."""
        return math.sqrt(self.variance)

    @property
    def variance(self) -> float:
        """Variance of the whole."""
        if self.mechanism == "gaussian":
            return self.scale**2 * self.terms
        ratio = math.exp(-1 / self.scale)
        return 2 * ratio / (1 - ratio) ** 2 * self.terms


@dataclass(frozen=True)
class Total:
    """A sum as its reader sees it.

    Attributes
    ----------
    value
        The sum, in the contribution's shape.
    owners
        How many owners are in it.
    noise
        The noise it carries, or None.
    """

    value: np.ndarray
    owners: int
    noise: Noise | None = None


def qualified_name(function: Callable[..., Any]) -> str:
    """Name an importable module-level function as "module:function".

    Raises
    ------
    ProtocolError
        It is a lambda, a closure or a method: only names travel between parties.
    """
    name = f"{function.__module__}:{function.__qualname__}"
    if "<" in name or "." in function.__qualname__:
        raise ProtocolError(f"{name} is not a module-level function, so it cannot travel.")
    return name


def resolve(name: str) -> Callable[..., Any]:
    """Import the function that `qualified_name` named."""
    module, _, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ProtocolError(f"{name} cannot be imported here.") from error
