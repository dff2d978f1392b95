"""What the analyst's program asks of the compute parties, as bytes."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from petlab.errors import ProtocolError
from petlab.metering import wire
from petlab.techniques.mpc.streams import expanded

_PREFIX = struct.Struct("<I")


@dataclass(frozen=True)
class Command:
    """One operation on stored shares.

    Attributes
    ----------
    name
        What to do.
    inputs
        Numbers of the stored arrays it works on.
    out
        Number under which the result is stored, or None.
    options
        Public numbers: ranges, axes, bounds.
    arrays
        Public arrays, or the receiver's shares.
    kinds
        Shape and fraction bits of each input, so that a party can look ahead.
    """

    name: str
    inputs: tuple[int, ...] = ()
    out: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    kinds: tuple[tuple[int, ...], ...] = ()

    def pack(self) -> bytes:
        """Return the bytes that travel."""
        head = json.dumps(
            [self.name, self.inputs, self.out, self.options, self.kinds], separators=(",", ":")
        ).encode()
        return _PREFIX.pack(len(head)) + head + wire.pack(self.arrays)

    @property
    def signature(self) -> tuple[Any, ...]:
        """What decides which correlated randomness the command consumes."""
        options = json.dumps(self.options, sort_keys=True)
        arrays = tuple((name, _public_kind(a)) for name, a in self.arrays.items())
        return self.name, options, self.kinds, arrays

    def expanded(self) -> Command:
        """The command with whole shares, where it came with keys to make them from."""
        if self.name not in ("share", "sum"):
            return self
        options = dict(self.options)
        shape = options.pop("shape")
        arrays = {name: expanded(share, shape) for name, share in self.arrays.items()}
        return replace(self, options=options, arrays=arrays)

    @classmethod
    def unpack(cls, message: bytes) -> Command:
        """Read what `pack` wrote.

        Raises
        ------
        ProtocolError
            The message is not a command.
        """
        try:
            (length,) = _PREFIX.unpack_from(message)
            end = _PREFIX.size + length
            name, inputs, out, options, kinds = json.loads(message[_PREFIX.size : end])
        except (struct.error, ValueError, TypeError) as error:
            raise ProtocolError("a message is not a command.") from error
        return cls(name, tuple(inputs), out, options, wire.unpack(message[end:]), _tuples(kinds))


def _tuples(kinds: Any) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(kind) for kind in kinds)


def _public_kind(array: np.ndarray) -> tuple[Any, ...]:
    # Public numbers are encoded by whether they are whole, and by how large they are.
    whole = bool(np.all(array == np.rint(array)))
    sizes = np.abs(array)
    norms = sizes.max(initial=0.0), sizes.sum(0).max(initial=0.0) if array.ndim else 0.0
    return array.shape, whole, *(int(np.floor(np.log2(n))) if n else None for n in norms)
