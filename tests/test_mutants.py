"""The list of mutants can be run: each text stands where it is said to, each test exists."""

from __future__ import annotations

import ast

import pytest
from mutants import MUTANTS, ROOT, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.protects)
def test_what_a_mutant_takes_away_stands_there_once(mutant: Mutant) -> None:
    """A file that moved, or a line that was reworded, is noticed at once and not by night."""
    assert (ROOT / "petlab" / mutant.file).read_text(encoding="utf-8").count(mutant.old) == 1


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.protects)
def test_what_should_catch_a_mutant_is_a_test(mutant: Mutant) -> None:
    """By file and name; parameters are left to pytest."""
    file, _, name = mutant.node.partition("::")
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert not name or name.partition("[")[0] in names
