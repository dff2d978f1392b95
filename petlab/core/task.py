"""Tasks: programs over session operations, their references and their scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, ClassVar

import numpy as np

from petlab.core.claims import Metric
from petlab.core.contribution import qualified_name
from petlab.core.ops import Op
from petlab.core.plan import Plan, Public
from petlab.core.session import Session
from petlab.data.card import Card
from petlab.data.table import Table
from petlab.errors import UsageError


@dataclass(frozen=True)
class Answer:
    """What a program hands to the analyst: named arrays and remarks about them."""

    values: Mapping[str, np.ndarray]
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> np.ndarray:
        return self.values[name]


@dataclass(frozen=True)
class Records:
    """A task's view of a table: numeric arrays, and what is public about them.

    Attributes
    ----------
    arrays
        Named arrays with one entry per record on the first axis.
    labels
        Class of each record, shape (rows,).
    sites
        Natural site of each record, or None.
    keys
        What decides where each record goes (`petlab.data.assignment`), shape (rows,); empty while
        that is not known.
    seed
        The cell's seed, for what is public and random (hidden units, initial models).
    notes
        Remarks on records or values that were left out.
    """

    arrays: Mapping[str, np.ndarray]
    public: Public
    labels: np.ndarray
    sites: np.ndarray | None = None
    keys: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))
    seed: int = 0
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def take(self, index: np.ndarray) -> Records:
        """Return the records at `index`."""
        return replace(
            self,
            arrays={name: values[index] for name, values in self.arrays.items()},
            labels=self.labels[index],
            sites=None if self.sites is None else self.sites[index],
            keys=self.keys[index] if len(self.keys) else self.keys,
        )


class Placement(StrEnum):
    """Where a program finds the records."""

    ROWS = "owners hold different people"
    COLUMNS = "owners hold different columns of the same people"
    SCORING = "one owner holds records, the server holds a model"


@dataclass(frozen=True)
class Program:
    """A round loop over session operations: importable by name, free of side effects.

    Attributes
    ----------
    fn
        Module-level function `(session, plan) -> Answer`.
    requires
        Operations it calls: support is derived from them.
    plan
        Module-level function `(settings, public) -> Plan`, called before data is touched.
    columns
        For COLUMNS: which arrays each owner holds.
    """

    fn: Callable[[Session, Plan], Answer]
    requires: frozenset[Op]
    plan: Callable[[Any, Public], Plan]
    placement: Placement = Placement.ROWS
    columns: tuple[tuple[str, ...], ...] = ()

    def __call__(self, session: Session, plan: Plan) -> Answer:
        """Run the program, if the session offers all that it requires."""
        session.require(self.requires)
        return self.fn(session, plan)

    @property
    def qualified_name(self) -> str:
        """Import path, "module:function": what travels to where the program runs."""
        return qualified_name(self.fn)

    @property
    def summary(self) -> str:
        """First line of its docstring."""
        return (self.fn.__doc__ or "").strip().partition("\n")[0]


def program(
    *,
    requires: Iterable[Op],
    plan: Callable[[Any, Public], Plan],
    placement: Placement = Placement.ROWS,
    columns: tuple[tuple[str, ...], ...] = (),
) -> Callable[[Callable[[Session, Plan], Answer]], Program]:
    """Declare a function as a program; see `Program`."""

    def declare(fn: Callable[[Session, Plan], Answer]) -> Program:
        return Program(fn, frozenset(requires), plan, placement, columns)

    return declare


class Task(ABC):
    """One analysis. Its subclass knows nothing of how values are protected.

    Attributes
    ----------
    settings
        Frozen dataclass of the task's settings, all with defaults.
    programs
        By name; "sums" is the usual one.
    test_share
        Share of the records kept for testing; 0 where there is nothing to fit.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    settings: ClassVar[type]
    programs: ClassVar[Mapping[str, Program]]
    test_share: ClassVar[float] = 0.25

    def columns(self, card: Card, settings: Any) -> Sequence[str] | None:
        """Name the feature columns that a record must have values in; None for all of them.

        Where a card says `missing = "drop"`, only records that lack one of these are left out.
        """
        return None

    @abstractmethod
    def encode(self, table: Table, settings: Any) -> Records:
        """Turn a table into arrays, using only what its card makes public."""

    @abstractmethod
    def reference(self, program: str, train: Records, test: Records, settings: Any) -> Answer:
        """Compute the answer on pooled records by independent code."""

    @abstractmethod
    def score(
        self, answer: Answer, reference: Answer, test: Records, settings: Any
    ) -> dict[str, Metric]:
        """Compare an answer with the reference."""

    def losses(self, answer: Answer, records: Records, settings: Any) -> np.ndarray | None:
        """Loss of each record under the model that an answer releases, or None without one.

        Returns
        -------
        Shape (rows,): what training made small, and a membership attack looks at.
        """
        return None

    def model(self, train: Records, settings: Any) -> dict[str, np.ndarray]:
        """Fit, in the clear, the model that a `score` program applies."""
        raise UsageError(f"{self.name} has no program that applies a model.")
