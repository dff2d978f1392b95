"""A technique whose sums another one protects: the composition behind specs such as `fl+he`."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from petlab.session import Opening, Session
from petlab.task import Program
from petlab.technique import Run, Technique


class Borrowing(Technique):
    """A technique that borrows the aggregation of another.

    Parameters
    ----------
    base
        Runs the program; `base.borrows` is the session it does so in.
    lender
        Protects and adds the contributions, and decides by that who may add noise.
    name
        The spec.
    """

    def __init__(self, base: Technique, lender: Technique, *, name: str) -> None:
        assert base.borrows is not None
        self.base, self.lender = base, lender
        self.name = name
        self.title = f"{base.title} with {lender.title}"
        self.protects = f"{base.protects}; {lender.protects}"
        self.packages = {**base.packages, **lender.packages}
        self.session = base.borrows
        self.exposure = lender.lent_exposure or lender.exposure
        self.chosen = base.chosen

    @property
    def chosen_settings(self) -> dict[str, Any]:
        """Settings of both, by name."""
        return self.lender.chosen_settings | asdict(self.chosen)

    @property
    def every_chosen(self) -> tuple[Any, ...]:
        """Settings of both."""
        return (*self.lender.every_chosen, *self.base.every_chosen)

    def warm_up(self) -> None:
        """Import the libraries of both."""
        self.lender.warm_up()
        self.base.warm_up()

    def open(self, opening: Opening) -> Session:
        """Open the base technique's session with the other's aggregation."""
        return self.base.open(self._lent(opening))

    def execute(self, program: Program, opening: Opening) -> Run:
        """Run where the base technique runs programs."""
        return self.base.execute(program, self._lent(opening))

    def _lent(self, opening: Opening) -> Opening:
        return replace(opening, lend=self.lender.lend)
