"""Correlated randomness: what the dealer knows, and what each party makes of it.

All tuples come from streams that the dealer shares with each party, so that only rank 0 is
sent anything: the corrections that make the sum of all draws a valid tuple. The dealer must
not collude with a compute party: together they unmask what that party opens.

References
----------
.. [1] Beaver, Efficient Multiparty Protocols Using Circuit Randomization, CRYPTO 1991.
.. [2] Dalskov, Escudero, Keller, Secure Evaluation of Quantized Neural Networks, PoPETs 2020
   (truncation by a masked opening whose wrap is corrected exactly).
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from petlab.techniques.mpc.streams import Stream

Size = Sequence[int]
BITS = 64


def additive(sum_of: Callable[[Size], Any], left: Size, right: Size, op: str) -> list[Any]:
    """Product of two random arrays."""
    return [getattr(torch, op)(sum_of(left), sum_of(right))]


def square(sum_of: Callable[[Size], Any], size: Size) -> list[Any]:
    """Square of a random array."""
    value = sum_of(size)
    return [value * value]


def truncation(sum_of: Callable[[Size], Any], size: Size, bits: int) -> list[Any]:
    """High bits of a random array, and its top bit."""
    value = sum_of(size)
    return [shifted(value, bits), (value < 0).long()]


def shifted(value: Any, bits: int) -> Any:
    """Logical shift to the right."""
    return (value >> bits) & ((1 << (BITS - bits)) - 1)


_MADE: dict[str, Callable[..., list[Any]]] = {
    "additive": additive,
    "square": square,
    "truncation": truncation,
}


class Dealer:
    """Knows every party's stream, and computes the corrections of rank 0.

    Parameters
    ----------
    streams
        By rank.
    """

    def __init__(self, streams: Sequence[Stream]) -> None:
        self._streams = streams

    def corrections(self, kind: str, *arguments: Any) -> list[Any]:
        """Shares of rank 0 that complete the others' draws; see `Tuples` for their order."""
        if kind in _MADE:
            return [self._less_added(v) for v in _MADE[kind](self._added, *arguments)]
        if kind == "binary":
            value = self._xored(arguments[0]) & self._xored(arguments[1])
            return [value ^ self._xored(value.shape, skip=1)]
        if kind == "bits":
            return [self._less_added(self._xored(arguments[0]) & 1)]
        raise ValueError(kind)

    def _drawn(self, size: Size, skip: int = 0) -> list[Any]:
        return [torch.from_numpy(s.words(tuple(size)).copy()) for s in self._streams[skip:]]

    def _added(self, size: Size) -> Any:
        return _sum(self._drawn(size))

    def _less_added(self, value: Any) -> Any:
        return value - _sum(self._drawn(value.shape, skip=1))

    def _xored(self, size: Size, skip: int = 0) -> Any:
        return functools.reduce(operator.xor, self._drawn(size, skip))


class Tuples:
    """One party's end: CrypTen's tuple provider, and truncation.

    Parameters
    ----------
    rank
        Of this party.
    stream
        Shared with the dealer.
    ask
        At rank 0: fetches corrections, `ask(kind, *arguments)`. Ignored elsewhere.
    """

    NAME = "petlab"

    def __init__(self, rank: int, stream: Stream, ask: Callable[..., list[Any]]) -> None:
        self._rank, self._stream, self._ask = rank, stream, ask
        self.used = False

    def generate_additive_triple(self, left: Size, right: Size, op: str, **_: Any) -> Any:
        """Shares of a, b and op(a, b); CrypTen's hook."""
        a, b = self._draw(left), self._draw(right)
        shape = _PRODUCT[op](tuple(left), tuple(right))
        (c,) = self._completed("additive", [shape], tuple(left), tuple(right), op)
        return self._arithmetic(a), self._arithmetic(b), self._arithmetic(c)

    def square(self, size: Size, **_: Any) -> Any:
        """Shares of r and of its square; CrypTen's hook."""
        r = self._draw(size)
        (squared,) = self._completed("square", [size], tuple(size))
        return self._arithmetic(r), self._arithmetic(squared)

    def generate_binary_triple(self, left: Size, right: Size, **_: Any) -> Any:
        """Shares of a, b and a AND b under XOR; CrypTen's hook."""
        from crypten.mpc.primitives import BinarySharedTensor

        a, b = self._draw(left), self._draw(right)
        shape = np.broadcast_shapes(tuple(left), tuple(right))
        (c,) = self._completed("binary", [shape], tuple(left), tuple(right))
        return tuple(BinarySharedTensor.from_shares(value) for value in (a, b, c))

    def B2A_rng(self, size: Size, **_: Any) -> Any:
        """Shares of one random bit, under addition and under XOR; CrypTen's hook."""
        from crypten.mpc.primitives import BinarySharedTensor

        xored = self._draw(size) & 1
        (added,) = self._completed("bits", [size], tuple(size))
        return self._arithmetic(added), BinarySharedTensor.from_shares(xored)

    def truncation(self, size: Size, bits: int) -> tuple[Any, Any, Any]:
        """Shares of a random r, of its high bits and of its top bit."""
        r = self._draw(size)
        high, top = self._completed("truncation", [size, size], tuple(size), bits)
        return r, high, top

    def _draw(self, size: Size) -> Any:
        return torch.from_numpy(self._stream.words(tuple(size)).copy())

    def _completed(self, kind: str, shapes: Sequence[Size], *arguments: Any) -> list[Any]:
        self.used = True
        if self._rank == 0:
            return self._ask(kind, *arguments)
        return [self._draw(shape) for shape in shapes]

    def _arithmetic(self, share: Any) -> Any:
        from crypten.mpc.primitives import ArithmeticSharedTensor

        return ArithmeticSharedTensor.from_shares(share, precision=0)


def _sum(values: Sequence[Any]) -> Any:
    return functools.reduce(operator.add, values)


# Only these two products occur; torch could tell all shapes, but takes seconds to load that.
_PRODUCT: dict[str, Callable[[tuple[int, ...], tuple[int, ...]], Size]] = {
    "mul": np.broadcast_shapes,
    "matmul": lambda left, right: (*left[:-1], *right[1:]),
}
