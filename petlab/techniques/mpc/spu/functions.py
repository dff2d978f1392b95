"""Commands as functions of jax arrays, which SPU compiles: protected ones and public ones.

Reals are float64 and whole numbers int64, so that jax's promotion is that of fraction bits.
SPU's own exponential misses petlab's accuracy (1 % of the value plus 2^-12) by a third on
[-6, 2], and its exact one costs three times the rounds: where ranges are public, polynomials
in them are better. Its reciprocal and inverse root are accurate and need no range.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from petlab.errors import ProtocolError
from petlab.techniques.mpc.bounds import LEAST, SLACK

SMALL = 0.25
"""Where four terms of the exponential's series are enough."""


def command(name: str, **options: Any) -> Callable[..., tuple[Any, ...]]:
    """Return the function of one command: its result, and how many values left their range.

    Raises
    ------
    ProtocolError
        There is no such command.
    """
    if name == "declare":
        return lambda value: (_excess(value, **options),)
    function = globals().get(f"do_{name}")
    if function is None:
        raise ProtocolError(f"compute parties know no command {name!r}.")

    def with_excess(*arrays: Any) -> tuple[Any, ...]:
        result = function(*arrays, **options)
        return (result, _excess(arrays[0], **options)) if "low" in options else (result,)

    return with_excess


def do_add(left: Any, right: Any) -> Any:
    """Sum."""
    return left + right


do_add_public = do_add


def do_scale(value: Any, factor: Any, *, down: float = 1.0) -> Any:
    """Product with public numbers; `down` takes back what they were multiplied by."""
    if factor.dtype == jnp.int64:
        return _by_whole(value, lambda ring: ring * factor)
    return value * factor if down == 1.0 else (value * factor) * down


def do_multiply(left: Any, right: Any) -> Any:
    """Product entry by entry."""
    return left * right


def do_matmul(left: Any, right: Any) -> Any:
    """Matrix product."""
    return left @ right


do_matmul_public = do_matmul


def do_square(value: Any) -> Any:
    """Square entry by entry."""
    return value * value


def do_transpose(value: Any) -> Any:
    """Transpose."""
    return value.T


def do_take(value: Any, index: Any) -> Any:
    """Rows by public index."""
    return value.at[index].get(mode="promise_in_bounds")


def do_stack(*values: Any) -> Any:
    """Rows of several arrays."""
    return jnp.concatenate(values)


def do_total(value: Any, *, axis: int) -> Any:
    """Sum over an axis, which stays with length one."""
    # A product with ones is local; SPU's reduction shares its zero first.
    ones = jnp.ones(value.shape[axis], jnp.int64)
    found = _by_whole(value, lambda ring: jnp.tensordot(ring, ones, axes=(axis, 0)))
    return jnp.expand_dims(found, axis)


def do_positive(value: Any) -> Any:
    """One where the value is greater than zero, else zero."""
    return (value > 0).astype(jnp.int64)


def do_exp(value: Any, *, low: float, high: float) -> Any:
    """Exponential on [low, high]: a Taylor polynomial at x / 2^k, squared k times."""
    reach = max(abs(low), abs(high), SMALL)
    squarings = max(0, math.ceil(math.log2(reach / SMALL)))
    t = value * 2.0**-squarings if squarings else value * 1.0
    square = t * t
    found = t + square * (t * (1 / 6) + square * (1 / 24) + 0.5) + 1.0
    for _ in range(squarings):
        found = found * found
    return found


def do_reciprocal(value: Any, *, low: float, high: float) -> Any:
    """1 / x, by SPU."""
    return 1.0 / value


def do_inv_sqrt(value: Any, *, low: float, high: float) -> Any:
    """1 / sqrt(x), by SPU."""
    return jax.lax.rsqrt(value * 1.0)


def do_sigmoid(value: Any, *, low: float, high: float) -> Any:
    """1 / (1 + exp(-x)) on [-high, high], from exp(-|x|), which is at most one."""
    sign = do_positive(value)
    e = do_exp(value * (1 - 2 * sign), low=-high, high=0.0)
    # 1 / (1 + e) on [1, 2]: a line that is off by 3 %, then two Newton steps.
    r = 24 / 17 - (1.0 + e) * (8 / 17)
    for _ in range(2):
        r = r * (2.0 - (1.0 + e) * r)
    return r * (e + (1.0 - e) * sign)


def do_softmax(value: Any, *, low: float, high: float) -> Any:
    """Softmax of each row of scores on [-high, high], shifted by the row's maximum."""
    e = do_exp(value - _maximum(value), low=-2 * high, high=0.0)
    return e * (1.0 / do_total(e, axis=1))


def do_opened(value: Any, zero: Any) -> Any:
    """The same value as an arithmetic sharing: comparisons leave boolean ones."""
    return value + zero


def _by_whole(value: Any, product: Callable[[Any], Any]) -> Any:
    """A product with whole numbers, on the ring elements: nothing has to be truncated."""
    kind = value.dtype
    return jax.lax.bitcast_convert_type(
        product(jax.lax.bitcast_convert_type(value, jnp.int64)), kind
    )


def _maximum(x: Any) -> Any:
    """Largest entry of each row, by a tournament; shape (rows, 1)."""
    while x.shape[1] > 1:
        half = x.shape[1] // 2
        best = jnp.maximum(x[:, :half], x[:, half : 2 * half])
        x = jnp.concatenate([best, x[:, 2 * half :]], axis=1)
    return x


def _excess(value: Any, *, low: float, high: float) -> Any:
    """How many entries leave [low, high]: an integer, shape (1,)."""
    below, above = (SLACK * max(abs(bound), LEAST) for bound in (low, high))
    outside = [value < low - below, value > high + above]
    return jnp.concatenate([o.reshape(-1) for o in outside]).astype(jnp.int64).sum(keepdims=True)
