"""Protected arrays: what a program may compute on values that their holder cannot read.

Public methods check labels, shapes and declared ranges; techniques override the hooks with
a leading underscore. Ranges are public declarations by which a technique chooses its
approximation: a value outside is an error, never silently wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from petlab.core.ops import not_yet
from petlab.core.party import Shard
from petlab.core.summing import Summing
from petlab.errors import OutOfRange, ProtocolError, UsageError

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

    session: Arrays
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


Operand = Protected | Local | np.ndarray | float


class Arrays(Summing):
    """The part of a session that computes on protected arrays."""

    @property
    def owner_names(self) -> tuple[str, ...]:
        """Names of the parties that hold data, in order."""
        return tuple(owner.name for owner in self.owners)

    def share(
        self, source: Source, *, owner: str, label: str = "", layout: Layout = "slots"
    ) -> Protected:
        """Protect an array of one owner for computing by others.

        Parameters
        ----------
        source
            Name of the array in the owner's shard, or a function of the shard.
        owner
            The party that holds it.
        label
            Arrays of different labels refuse to mix.
        layout
            Which axis lies along a ciphertext's slots.
        """
        values = self._checked_values(self._lookup(owner, source))
        return self._share(values, owner, label, layout)

    def share_all(self, source: Source, *, label: str = "") -> Protected:
        """Protect an array of every owner, and put them below each other in owners' order."""
        return self.stack([self.share(source, owner=o, label=label) for o in self.owner_names])

    def local(self, source: Source, *, at: str, bound: float | None = None) -> Local:
        """Refer to a plaintext array of one party as an operand that never leaves it.

        Parameters
        ----------
        bound
            Public bound on the magnitude of its entries, which the party checks.
        """
        if bound and not np.abs(self._lookup(at, source)).max(initial=0.0) <= bound:
            raise OutOfRange(f"an entry at {at} exceeds the declared bound of {bound:g}.")
        self._owner(at)
        return Local(at, source, bound)

    def add(self, left: Protected, right: Operand) -> Protected:
        """Add an operand (public, local or protected), broadcasting as numpy does."""
        operand = _array(right)
        self._fits(left, operand)
        return self._add(left, operand)

    def subtract(self, left: Protected, right: Protected | np.ndarray | float) -> Protected:
        """Subtract an operand (public or protected)."""
        if isinstance(right, Protected):
            return self.add(left, self.scale(right, -1.0))
        return self.add(left, -np.asarray(right, float))

    def scale(self, value: Protected, factor: np.ndarray | float) -> Protected:
        """Multiply by a public number, or by a public array entry by entry."""
        if np.broadcast_shapes(value.shape, np.shape(factor)) != value.shape:
            raise ProtocolError(f"a factor of shape {np.shape(factor)} widens {value.shape}.")
        return self._scale(value, factor)

    def multiply(self, left: Protected, right: Protected) -> Protected:
        """Multiply protected arrays entry by entry, broadcasting as numpy does."""
        self._fits(left, right)
        return self._multiply(left, right)

    def matmul(self, left: Protected, right: Protected | Local | np.ndarray) -> Protected:
        """Matrix product of a protected array (m, n) and an operand (n, k)."""
        self._same_label(left, right)
        if not isinstance(right, Local) and left.shape[-1] != right.shape[0]:
            raise ProtocolError(f"no product of shapes {left.shape} and {right.shape}.")
        if isinstance(right, Protected):
            return self._matmul(left, right)
        return self._plain_matmul(left, right)

    def square(self, value: Protected) -> Protected:
        """Square a protected array entry by entry."""
        return self._square(value)

    def stack(self, values: Sequence[Protected]) -> Protected:
        """Put protected arrays of the same columns below each other."""
        first = values[0]
        for other in values[1:]:
            self._same_label(first, other)
            if other.shape[1:] != first.shape[1:]:
                raise ProtocolError(f"no stack of shapes {first.shape} and {other.shape}.")
        return first if len(values) == 1 else self._stack(values)

    def take(self, value: Protected, rows: np.ndarray | slice) -> Protected:
        """Rows at a public index, repeated where the index repeats."""
        return self._take(value, np.atleast_1d(np.arange(value.shape[0])[rows]))

    def transpose(self, value: Protected) -> Protected:
        """Swap rows and columns."""
        return self._transpose(value)

    def total(self, value: Protected, *, axis: int) -> Protected:
        """Sum over one axis, which stays with length one."""
        return self._total(value, axis)

    def positive(self, value: Protected) -> Protected:
        """One where an entry is above zero, else zero."""
        return self._positive(value)

    def relu(self, value: Protected) -> Protected:
        """Each entry where it is above zero, else zero."""
        return self.multiply(value, self.positive(value))

    def exp(self, value: Protected, *, low: float = -16.0, high: float = 4.0) -> Protected:
        """Exponential of entries between `low` and `high`."""
        if not low < high:
            raise UsageError(f"exp() needs low < high, not {low:g} and {high:g}.")
        return self._exp(value, low, high)

    def reciprocal(self, value: Protected, *, low: float, high: float) -> Protected:
        """One over each entry, all between `low` and `high`, which are positive."""
        _check_range("reciprocal", low, high)
        return self._reciprocal(value, low, high)

    def inv_sqrt(self, value: Protected, *, low: float, high: float) -> Protected:
        """One over each entry's square root, all between `low` and `high`, which are positive."""
        _check_range("inv_sqrt", low, high)
        return self._inv_sqrt(value, low, high)

    def sigmoid(self, value: Protected, *, bound: float = 16.0) -> Protected:
        """Logistic function of entries of at most `bound` in magnitude."""
        _check_range("sigmoid", 0.5 * bound, bound)
        return self._sigmoid(value, bound)

    def softmax(self, value: Protected, *, bound: float = 16.0) -> Protected:
        """Softmax of each row, of entries of at most `bound` in magnitude."""
        _check_range("softmax", 0.5 * bound, bound)
        return self._softmax(value, bound)

    def bounded(self, value: Protected, *, bound: float, proven: bool = False) -> Protected:
        """Declare that no entry exceeds a public bound in magnitude.

        Where protected numbers have a limit, products of small ones then fit.

        Parameters
        ----------
        proven
            It follows from public facts, whatever the records are: under protection nobody
            checks it. In the clear it is checked all the same.
        """
        if not 0 < bound < np.inf:
            raise UsageError(f"bounded() needs a positive, finite bound, not {bound:g}.")
        return self._bounded(value, bound, proven)

    def reveal(self, value: Protected, *, to: str) -> np.ndarray:
        """Open a protected array to one reader, who is planned to see it."""
        self._unguarded("reveal")
        self._spend(value.shape)
        return self._reveal(value, self._reader(to))

    def _lookup(self, party: str, source: Source) -> np.ndarray:
        shard = self._owner(party).shard
        return np.asarray(shard[source] if isinstance(source, str) else source(shard))

    def _checked_values(self, values: np.ndarray) -> np.ndarray:
        if not np.all(np.isfinite(values)) or np.abs(values).max(initial=0) > self.plan.value_max:
            raise OutOfRange(f"a value exceeds the plan's bound of {self.plan.value_max:g}.")
        return values

    def _same_label(self, left: Protected, right: Any) -> None:
        if isinstance(right, Protected) and right.label != left.label:
            raise ProtocolError(f"arrays labelled {left.label!r} and {right.label!r} do not mix.")

    def _fits(self, left: Protected, right: Protected | Local | np.ndarray) -> None:
        self._same_label(left, right)
        if isinstance(right, Local):
            return  # Its shape is known at its party only.
        try:
            np.broadcast_shapes(left.shape, right.shape)
        except ValueError:
            raise ProtocolError(
                f"shapes {left.shape} and {right.shape} do not fit each other."
            ) from None

    _share: Any = not_yet("this technique has no protected arrays")
    _add: Any = not_yet("this technique does not add protected arrays")
    _scale: Any = not_yet("this technique does not scale protected arrays")
    _multiply: Any = not_yet("this technique does not multiply protected arrays")
    _matmul: Any = not_yet("this technique has no product of two protected matrices")
    _plain_matmul: Any = not_yet("this technique has no product with a plain matrix")
    _square: Any = not_yet("this technique does not square protected arrays")
    _bounded: Any = not_yet("this technique does not compare protected values with a bound")
    _stack: Any = not_yet("this technique does not stack protected arrays")
    _take: Any = not_yet("this technique does not pick rows of protected arrays")
    _transpose: Any = not_yet("this technique does not transpose protected arrays")
    _total: Any = not_yet("this technique does not add up protected rows or columns")
    _positive: Any = not_yet("this technique does not compare protected values")
    _exp: Any = not_yet("this technique has no protected exponential")
    _reciprocal: Any = not_yet("this technique has no protected reciprocal")
    _inv_sqrt: Any = not_yet("this technique has no protected inverse square root")
    _sigmoid: Any = not_yet("this technique has no protected logistic function")
    _softmax: Any = not_yet("this technique has no protected softmax")
    _reveal: Any = not_yet("this technique has nothing protected to reveal")


def _array(operand: Operand) -> Protected | Local | np.ndarray:
    return operand if isinstance(operand, Protected | Local) else np.asarray(operand, float)


def _check_range(name: str, low: float, high: float) -> None:
    if not (0 < low < high and np.isfinite(high)):
        raise UsageError(f"{name}() needs a positive, finite range, not {low:g} to {high:g}.")
