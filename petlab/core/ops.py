"""The operations a program may ask of a session, and how their absence is declared."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn

from petlab.errors import Unsupported


class Op(StrEnum):
    """An operation of the waist. Its value names the session hook that carries it out."""

    SUM = "_sum"
    SAMPLE = "_sample"
    SHARE = "_share"
    ADD = "_add"
    SCALE = "_scale"
    PLAIN_MATMUL = "_plain_matmul"
    MATMUL = "_matmul"
    MULTIPLY = "_multiply"
    SQUARE = "_square"
    STACK = "_stack"
    TAKE = "_take"
    TRANSPOSE = "_transpose"
    TOTAL = "_total"
    BOUNDED = "_bounded"
    COMPARE = "_positive"
    EXP = "_exp"
    RECIPROCAL = "_reciprocal"
    INV_SQRT = "_inv_sqrt"
    SIGMOID = "_sigmoid"
    SOFTMAX = "_softmax"
    REVEAL = "_reveal"
    HOLD = "_hold"
    CALL = "_call"


class Kind(StrEnum):
    """Why an operation is missing."""

    NEVER = "never"
    NOT_YET = "not_yet"


@dataclass(frozen=True)
class Gap:
    """A declared absence: stands where a hook would stand, and raises when it is called."""

    kind: Kind
    reason: str

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse, with the reason."""
        raise Unsupported(f"{self.kind}: {self.reason}")


def never(reason: str) -> Any:
    """Declare that mathematics or the technique's idea forbids an operation."""
    return Gap(Kind.NEVER, reason)


def not_yet(reason: str) -> Any:
    """Declare that petlab has not built an operation."""
    return Gap(Kind.NOT_YET, reason)
