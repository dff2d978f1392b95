"""Fixed-point arithmetic on additive shares modulo 2^64, by CrypTen's protocols."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from petlab.techniques.mpc.crypten.tuples import BITS, Tuples, shifted

FRACTION = 20
"""Fraction bits of a real value: products keep |x y| < 2^21 with room to spare."""
HEADROOM = 62
"""Values to be truncated must lie within +-2^62, scale included."""


@dataclass(frozen=True)
class Shared:
    """The share that one party has of an array, and the number of its fraction bits."""

    share: Any
    bits: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return tuple(self.share.shape)

    @property
    def T(self) -> Shared:
        """Transpose."""
        return Shared(self.share.T.contiguous(), self.bits)

    def __getitem__(self, index: Any) -> Shared:
        return Shared(self.share[index], self.bits)


class Ring:
    """One compute party's arithmetic.

    Parameters
    ----------
    rank
        Of this party; rank 0 adds what is public.
    tuples
        Correlated randomness.
    communicator
        Opens masked values.
    """

    def __init__(self, rank: int, tuples: Tuples, communicator: Any) -> None:
        self.rank, self.tuples, self._communicator = rank, tuples, communicator

    def public(self, values: Any, like: Shared | None = None) -> Shared:
        """A public array as a sharing: rank 0 holds it."""
        bits = FRACTION if like is None else like.bits
        encoded = encode(values, bits)
        return Shared(encoded if self.rank == 0 else torch.zeros_like(encoded), bits)

    def add(self, left: Shared, right: Shared) -> Shared:
        """Sum, with broadcasting."""
        bits = max(left.bits, right.bits)
        return Shared(_lifted(left, bits) + _lifted(right, bits), bits)

    def subtract(self, left: Shared, right: Shared) -> Shared:
        """Difference, with broadcasting."""
        return self.add(left, self.negate(right))

    def negate(self, value: Shared) -> Shared:
        """Negative."""
        return Shared(-value.share, value.bits)

    def add_public(self, value: Shared, public: Any) -> Shared:
        """Sum with a public array; an integer array stays one if the public one is."""
        bits = value.bits if value.bits or is_integer(public) else FRACTION
        return self.add(value, self.public(public, Shared(value.share, bits)))

    def scale(self, value: Shared, factor: Any) -> Shared:
        """Product with public numbers."""
        return self.combine([(value, factor)])

    def combine(self, terms: Sequence[tuple[Shared, Any]], constant: float = 0.0) -> Shared:
        """Sum of shared arrays times public numbers, plus a constant, truncated once."""
        if all(is_integer(factor) for _, factor in terms) and not constant:
            parts = [Shared(v.share * encode(factor, 0), v.bits) for v, factor in terms]
            total = parts[0]
            for part in parts[1:]:
                total = self.add(total, part)
            return total
        largest = max(float(np.abs(factor).max(initial=0)) for _, factor in terms)
        # Small factors get more fraction bits, so that they keep twenty significant ones.
        extra = FRACTION + int(np.clip(-np.floor(np.log2(max(largest, 2.0**-FRACTION))), 0, 10))
        share = sum(_lifted(v, FRACTION) * encode(factor, extra) for v, factor in terms)
        found = self.truncate(Shared(share, FRACTION + extra), extra)
        return self.add_public(found, constant) if constant else found

    def multiply(self, left: Shared, right: Shared) -> Shared:
        """Product entry by entry, with broadcasting."""
        return self._product("mul", left, right)

    def matmul(self, left: Shared, right: Shared) -> Shared:
        """Matrix product."""
        return self._product("matmul", left, right)

    def matmul_public(self, left: Shared, public: Any) -> Shared:
        """Matrix product with a public matrix."""
        bits = 0 if is_integer(public) else FRACTION + _extra(public)
        share = left.share @ encode(public, bits)
        return self._settled(Shared(share, left.bits + bits))

    def square(self, value: Shared) -> Shared:
        """Square entry by entry."""
        from crypten.mpc.primitives import beaver

        found = beaver.square(_tensor(value))
        return self._settled(Shared(found.share, 2 * value.bits))

    def total(self, value: Shared, axis: int) -> Shared:
        """Sum over an axis, which stays with length one."""
        return Shared(value.share.sum(axis, keepdim=True), value.bits)

    def positive(self, value: Shared) -> Shared:
        """One where the value is greater than zero, else zero: integers."""
        from crypten.mpc.primitives import BinarySharedTensor, converters

        # Not converters._A2B: out of memory, it would start again at this party alone.
        share = self.negate(value).share.contiguous()
        parties = range(self._communicator.get_world_size())
        terms = [BinarySharedTensor(share, src=rank) for rank in parties]
        binary = BinarySharedTensor.stack(terms).sum(dim=0)
        sign = converters._B2A(binary.rshift(BITS - 1), precision=0, bits=1)
        return Shared(sign.share, 0)

    def truncate(self, value: Shared, bits: int) -> Shared:
        """Drop fraction bits; the result is off by at most one unit in its last place.

        The value is opened under a uniform mask r. Whether the masked value wrapped around
        2^64 follows from its top bit and r's, so that the wrap is corrected exactly.
        """
        shape = value.shape
        r, high, top = self.tuples.truncation(shape, bits)
        masked = value.share + r
        if self.rank == 0:
            masked = masked + (1 << HEADROOM)
        opened = self._communicator.all_reduce(masked)
        wrapped = top * (opened >= 0).long()
        share = wrapped * (1 << (BITS - bits)) - high
        if self.rank == 0:
            share = share + shifted(opened, bits) - (1 << (HEADROOM - bits))
        return Shared(share, value.bits - bits)

    def randomised(self, value: Shared) -> Shared:
        """The value times a random ring element that nobody knows: zero stays zero."""
        from crypten.mpc.primitives import ArithmeticSharedTensor, beaver

        random = ArithmeticSharedTensor.PRSS(value.shape)
        random.encoder._scale = 1
        return Shared(beaver.mul(_tensor(value), random).share, 0)

    def _product(self, op: str, left: Shared, right: Shared) -> Shared:
        from crypten.mpc.primitives import beaver

        found = getattr(beaver, op)(_tensor(left), _tensor(right))
        return self._settled(Shared(found.share, left.bits + right.bits))

    def _settled(self, value: Shared) -> Shared:
        return value if value.bits <= FRACTION else self.truncate(value, value.bits - FRACTION)


def encode(values: Any, bits: int) -> Any:
    """Fixed-point integers of public numbers, as a torch tensor."""
    numbers = np.rint(np.ldexp(np.asarray(values, float), bits)).astype(np.int64)
    return torch.from_numpy(np.ascontiguousarray(numbers).reshape(np.shape(values)))


def _extra(matrix: Any) -> int:
    """Further fraction bits for a matrix of small numbers, at which products still fit."""
    norm = max(float(np.abs(matrix).sum(0).max(initial=0.0)), 2.0**-FRACTION)
    return int(np.clip(-np.ceil(np.log2(norm)), 0, 10))


def is_integer(values: Any) -> bool:
    """Whether all numbers are whole."""
    return bool(np.all(np.asarray(values, float) == np.rint(values)))


def _lifted(value: Shared, bits: int) -> Any:
    return value.share if value.bits == bits else value.share << (bits - value.bits)


def _tensor(value: Shared) -> Any:
    from crypten.mpc.primitives import ArithmeticSharedTensor

    return ArithmeticSharedTensor.from_shares(value.share.contiguous(), precision=0)
