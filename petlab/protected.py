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
    """A plaintext operand that exists at one party only.

    Attributes
    ----------
    bound
        Public: no entry is larger in magnitude. None: nothing is known.
    """

    at: str
    source: Source
    bound: float | None = None


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

    # numpy then leaves `array @ protected` and the like to this class.
    __array_ufunc__ = None

    def __add__(self, other: Protected | Local | np.ndarray | float) -> Protected:
        return self.session.add(self, other)

    def __radd__(self, other: np.ndarray | float) -> Protected:
        return self.session.add(self, other)

    def __sub__(self, other: Protected | np.ndarray | float) -> Protected:
        return self.session.subtract(self, other)

    def __rsub__(self, other: np.ndarray | float) -> Protected:
        return self.session.add(-self, other)

    def __neg__(self) -> Protected:
        return self.session.scale(self, -1.0)

    def __mul__(self, other: Protected | np.ndarray | float) -> Protected:
        if isinstance(other, Protected):
            return self.session.multiply(self, other)
        return self.session.scale(self, other)

    def __rmul__(self, other: np.ndarray | float) -> Protected:
        return self.session.scale(self, other)

    def __matmul__(self, other: Protected | Local | np.ndarray) -> Protected:
        return self.session.matmul(self, other)

    def __rmatmul__(self, other: np.ndarray) -> Protected:
        return (self.T @ other.T).T

    def __getitem__(self, rows: np.ndarray | slice) -> Protected:
        return self.session.take(self, rows)

    @property
    def T(self) -> Protected:
        """Rows and columns swapped."""
        return self.session.transpose(self)

    def square(self) -> Protected:
        """Square each entry."""
        return self.session.square(self)


@dataclass
class Held:
    """An accumulator at a holder that cannot read it; only `readers` can.

    Attributes
    ----------
    handle
        The technique's own representation, one message of each holder; replaced or added to
        by calls.
    coordinate_max
        Public bound on the magnitude of its entries.
    terms_max
        How many values it may be the sum of.
    terms
        How many it is the sum of.
    """

    handle: list[bytes]
    at: str
    readers: tuple[str, ...]
    shape: tuple[int, ...]
    coordinate_max: float
    terms_max: int
    terms: int = 1
