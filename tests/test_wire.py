"""Arrays as bytes: what goes in comes out, and nothing else gets through."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from petlab.errors import ProtocolError
from petlab.metering import wire

KINDS = ["f8", "f4", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "b1", ">f8", ">i4"]
ARRAYS = st.sampled_from(KINDS).flatmap(
    lambda kind: arrays(np.dtype(kind), array_shapes(min_dims=0, max_dims=3, min_side=0))
)


@given(st.dictionaries(st.text(max_size=8), ARRAYS, max_size=4))
def test_arrays_come_back_as_they_were(named: dict[str, np.ndarray]) -> None:
    """Names, order, shapes, kinds and every bit, NaN and zero-size arrays included."""
    back = wire.unpack(wire.pack(named))
    assert list(back) == list(named)
    for name, array in named.items():
        assert back[name].shape == array.shape
        assert back[name].dtype == array.dtype.newbyteorder("<")
        assert back[name].tobytes() == array.astype(array.dtype.newbyteorder("<")).tobytes()


def test_array_without_axes_and_reversed_view_survive() -> None:
    """Shapes () and strided views are what numpy makes easy to get wrong."""
    back = wire.unpack(wire.pack({"a": np.array(3.5), "b": np.arange(6.0)[::-2]}))
    assert back["a"].shape == ()
    np.testing.assert_array_equal(back["b"], [5.0, 3.0, 1.0])


def test_received_array_is_a_copy_of_its_own() -> None:
    """Writing into it changes neither the message nor another reader's array."""
    message = wire.pack({"a": np.zeros(3)})
    wire.unpack(message)["a"][:] = 1
    np.testing.assert_array_equal(wire.unpack(message)["a"], np.zeros(3))


@pytest.mark.parametrize(
    "value",
    [np.array(["text"]), np.array([object()]), np.array([1 + 2j]), np.array(["2020"], "M8[D]")],
)
def test_only_numbers_travel(value: np.ndarray) -> None:
    """Strings and objects are refused, so that no message carries code."""
    with pytest.raises(ProtocolError, match="cannot be sent"):
        wire.pack({"a": value})


@given(st.integers(0, 60))
def test_message_cut_short_is_refused(keep: int) -> None:
    """Anywhere."""
    message = wire.pack({"weights": np.arange(4.0)})
    with pytest.raises(ProtocolError):
        wire.unpack(message[: min(keep, len(message) - 1)])


def test_message_with_a_tail_is_refused() -> None:
    """Bytes that belong to no array are not ignored."""
    with pytest.raises(ProtocolError, match="longer"):
        wire.unpack(wire.pack({"a": np.zeros(2)}) + b"x")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(message: bytes) -> None:
    """Nothing but a protocol error comes of noise."""
    try:
        wire.unpack(message)
    except ProtocolError:
        return
    assert wire.pack(wire.unpack(message))


@pytest.mark.parametrize(
    "header",
    [b'[["a","O",[1]]]', b'[["a","f8",[-1]]]', b'[["a","f8"]]', b'{"a":1}', b"[[[1],2,3]]", b"7"],
)
def test_headers_that_ask_for_anything_else_are_refused(header: bytes) -> None:
    """Unknown kinds, negative shapes and other JSON do not get as far as numpy."""
    with pytest.raises(ProtocolError):
        wire.unpack(len(header).to_bytes(4, "little") + header + bytes(8))
