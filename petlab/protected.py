"""Values whose holder cannot read them, and references to what stays at its owner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from petlab.party import Shard

if TYPE_CHECKING:
    from petlab.session import Session

Layout = Literal["slots", "columns"]
"""Which axis lies along a ciphertext's slots: the last ("slots") or the first ("columns")."""

Source = str | Callable[[Shard], np.ndarray]
"""Where an owner's array comes from: a name in its shard, or a function of the shard."""


@dataclass(frozen=True)
class Local:
    """A plaintext operand that exists at one party only."""

    at: str
    source: Source


@dataclass(frozen=True)
class Protected:
    """An array that its holder computes on without seeing it.

    Attributes
    ----------
    session
        Carries out the operations.
    handle
        The technique's own representation, at `holder`.
    label
        Arrays of different labels refuse to mix.
    """

    session: Session
    handle: Any
    shape: tuple[int, ...]
    label: str
    layout: Layout
    holder: str

    def __add__(self, other: Protected | Local | np.ndarray) -> Protected:
        return self.session.add(self, other)

    def __mul__(self, other: Protected) -> Protected:
        return self.session.multiply(self, other)

    def __matmul__(self, other: Protected | Local | np.ndarray) -> Protected:
        return self.session.matmul(self, other)

    def square(self) -> Protected:
        """Square each entry."""
        return self.session.square(self)


@dataclass
class Held:
    """An accumulator at a holder that cannot read it; only `readers` can.

    Attributes
    ----------
    handle
        The technique's own representation; replaced or added to by calls.
    coordinate_max
        Public bound on the magnitude of its entries.
    terms_max
        How many values it may be the sum of.
    terms
        How many it is the sum of.
    """

    handle: bytes
    at: str
    readers: tuple[str, ...]
    shape: tuple[int, ...]
    coordinate_max: float
    terms_max: int
    terms: int = 1
