"""Named arrays as bytes and back: the only form in which values travel between parties.

The format is a length-prefixed JSON header (names, dtypes, shapes) and the raw
little-endian buffers. There is no pickle: a message can never carry code.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from petlab.errors import ProtocolError

Arrays = Mapping[str, np.ndarray]

_KINDS = frozenset({"f8", "f4", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "b1"})
_PREFIX = struct.Struct("<I")


def pack(arrays: Mapping[str, Any]) -> bytes:
    """Serialise named arrays of numbers.

    Raises
    ------
    ProtocolError
        An array is of a kind that does not travel (objects, strings).
    """
    header, buffers = [], []
    for name, value in arrays.items():
        array = np.asarray(value)
        shape = array.shape
        array = np.ascontiguousarray(array)
        kind = array.dtype.str[1:]
        if kind not in _KINDS:
            raise ProtocolError(f"array {name!r} of dtype {array.dtype} cannot be sent.")
        header.append([name, kind, list(shape)])
        buffers.append(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    head = json.dumps(header, separators=(",", ":")).encode()
    return b"".join([_PREFIX.pack(len(head)), head, *buffers])


def unpack(message: bytes) -> dict[str, np.ndarray]:
    """Read what `pack` wrote.

    Raises
    ------
    ProtocolError
        The message is cut short, too long, or not in the format.
    """
    try:
        (length,) = _PREFIX.unpack_from(message)
        header = json.loads(message[_PREFIX.size : _PREFIX.size + length])
        arrays, at = {}, _PREFIX.size + length
        for name, kind, shape in header:
            if kind not in _KINDS:
                raise ValueError(kind)
            dtype = np.dtype("<" + kind)
            count = math.prod(shape)
            values = np.frombuffer(message, dtype, count, offset=at)
            arrays[name] = values.reshape(shape).copy()
            at += count * dtype.itemsize
    except (struct.error, ValueError, TypeError) as error:
        raise ProtocolError("a message is not in petlab's array format.") from error
    if at != len(message):
        raise ProtocolError("a message is longer than its header says.")
    return arrays
