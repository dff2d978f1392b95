"""A few mutated inputs of every kind, and all that once ended wrong; `make fuzz` runs thousands."""

from __future__ import annotations

import numpy as np
import pytest
from fuzz import KEPT, KINDS, attempt, mutated


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_inputs_are_refused_or_right(kind: str) -> None:
    """Nothing ends in an error of Python's, and no answer is wrong."""
    for seed in (*range(1_000, 1_012), *KEPT.get(kind, ())):
        wrong = attempt(kind, seed)
        assert wrong is None, f"{kind} {seed}: {wrong}"


def test_inputs_are_really_mutated() -> None:
    """Most of them differ, and the same seed makes the same one."""
    text = b"a line\nand another one, of words\n" * 4
    found = [mutated(text, np.random.default_rng(seed)) for seed in range(200)]
    assert sum(one != text for one in found) > 180
    assert found == [mutated(text, np.random.default_rng(seed)) for seed in range(200)]


def test_a_wrong_end_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of Python's, and an answer that is not the right one."""
    for wrong in (lambda rng: [][1], lambda rng: np.testing.assert_array_equal(1, 2)):
        monkeypatch.setitem(KINDS, "card", wrong)
        assert attempt("card", 0)
