"""Specs of several parts: an output guard on top (`fl+dp`), a borrowed aggregation (`fl+he`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, ClassVar

from petlab.core.ops import Gap, Op
from petlab.core.plan import Plan
from petlab.core.release import Exposure, Release
from petlab.core.session import Opening, Session
from petlab.core.task import Program
from petlab.core.technique import NoSettings, Run, Technique
from petlab.metering.accountant import Event


class OutputGuard:
    """Protects what is opened, whatever protects the inputs.

    Attributes
    ----------
    gaps
        Operations that it cannot guard, and why.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    protects: ClassVar[str]
    settings: ClassVar[type] = NoSettings
    gaps: ClassVar[Mapping[Op, Gap]] = {}

    def __init__(self, settings: Any) -> None:
        self.chosen = settings

    def release(self, plan: Plan, exposure: Exposure) -> Release:
        """Calibrate the guard for everything a plan releases."""
        raise NotImplementedError

    def events(self, plan: Plan, exposure: Exposure) -> tuple[Event, ...]:
        """List what a plan's releases spend of a privacy budget."""
        raise NotImplementedError


class Guarded(Technique):
    """A technique whose outputs a guard protects."""

    def __init__(self, base: Technique, guard: OutputGuard, *, name: str) -> None:
        self.base, self.guard = base, guard
        self.name, self.packages = name, base.packages
        alone = name == guard.name
        title = "{} (trusted curator)" if alone else base.title + " with {}"
        self.title = title.format(guard.title)
        self.protects = guard.protects if alone else f"{base.protects}; {guard.protects}"
        self.session = base.session
        self.chosen = guard.chosen

    @property
    def chosen_settings(self) -> dict[str, Any]:
        """Settings of the base technique and of the guard, by name."""
        return self.base.chosen_settings | asdict(self.chosen)

    @property
    def every_chosen(self) -> tuple[Any, ...]:
        """Settings of the base technique and of the guard."""
        return (*self.base.every_chosen, self.chosen)

    def gap(self, requires: frozenset[Op]) -> Gap | None:
        """Return the base technique's gap, its gap towards guards, or the guard's own."""
        own = (self.guard.gaps.get(op) for op in sorted(requires))
        exposure = self.base.exposure
        unplaced = exposure if isinstance(exposure, Gap) else None
        return self.base.gap(requires) or unplaced or next(filter(None, own), None)

    def warm_up(self) -> None:
        """Import the base technique's libraries."""
        self.base.warm_up()

    def open(self, opening: Opening) -> Session:
        """Open the base technique's session."""
        return self.base.open(opening)

    def release(self, plan: Plan) -> Release:
        """Return the guard, calibrated for a plan."""
        return self.guard.release(plan, self._exposure)

    def events(self, plan: Plan) -> tuple[Event, ...]:
        """List what a plan's releases spend of a privacy budget."""
        return self.guard.events(plan, self._exposure)

    @property
    def _exposure(self) -> Exposure:
        exposure = self.base.exposure
        assert isinstance(exposure, Exposure)
        return exposure

    def execute(self, program: Program, opening: Opening) -> Run:
        """Run where the base technique runs programs, if all it opens can be guarded."""
        self.refuse_gaps(program)
        return self.base.execute(program, opening)


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
