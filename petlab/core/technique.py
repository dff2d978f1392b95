"""Techniques: how a session is opened, where a program runs, and what is supported."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from petlab.core.claims import Cost, Guarantee
from petlab.core.ops import Gap, Kind, Op, not_yet
from petlab.core.party import DEALER
from petlab.core.plan import Plan
from petlab.core.release import Exposure, Release
from petlab.core.session import Opening, Session
from petlab.core.summing import Summing
from petlab.core.task import Answer, Program
from petlab.errors import MissingPackage, PlanExceeded
from petlab.metering.accountant import Event
from petlab.metering.meter import OFFLINE
from petlab.metering.transcript import Transcript


@dataclass(frozen=True)
class NoSettings:
    """A technique that has nothing to set."""


@dataclass(frozen=True)
class Run:
    """What one execution of a program left behind.

    Attributes
    ----------
    transcript
        All messages; with payloads when recording was asked for.
    """

    answer: Answer
    costs: Mapping[str, Cost]
    phases: Mapping[str, Mapping[str, Any]]
    guarantee: Guarantee
    views: Mapping[str, list[dict[str, Any]]]
    transcript: Transcript


class Technique:
    """A privacy-enhancing technique: opens sessions of its kind.

    Attributes
    ----------
    packages
        Import names of the libraries it needs, with the names that pip knows.
    session
        The session class whose hooks say what is supported.
    exposure
        What its aggregator sees, by which an output guard such as `+dp` adds noise; or the
        gap when no guard can sit on it.
    borrows
        The session class that runs on another technique's aggregation, or None.
    """

    name: str
    title: str
    protects: str
    packages: Mapping[str, str] = {}
    settings: type = NoSettings
    session: type[Session]
    exposure: Exposure | Gap = not_yet("this technique has no place for noise")
    lent_exposure: Exposure | None = None
    """The same for sums that it lends, where that is another."""
    borrows: type[Session] | None = None
    lend: Any = not_yet("this technique has no aggregation to lend")
    """Method `(host: Summing) -> Lender` that makes its aggregations for another's session."""

    def __init__(self, settings: Any = None) -> None:
        self.chosen = settings if settings is not None else self.settings()

    @property
    def every_chosen(self) -> tuple[Any, ...]:
        """Settings of every part of a composition."""
        return (self.chosen,)

    @property
    def chosen_settings(self) -> dict[str, Any]:
        """All settings by name, those of every part of a composition included."""
        return asdict(self.chosen)

    def gap(self, requires: frozenset[Op]) -> Gap | None:
        """Return the first operation's gap, or None when all are offered."""
        found = [getattr(self.session, op.value) for op in sorted(requires)]
        gaps = [hook for hook in found if isinstance(hook, Gap)]
        return min(gaps, key=lambda gap: gap.kind is not Kind.NEVER, default=None)

    def check_packages(self) -> None:
        """Refuse early when a library is not installed.

        Raises
        ------
        MissingPackage
            With the command that installs it.
        """
        for module, package in self.packages.items():
            if importlib.util.find_spec(module) is None:
                raise MissingPackage(
                    f"{self.name} needs {package}. Install it: pip install {package}"
                )

    def warm_up(self) -> None:
        """Import the libraries, so that no run is charged for it."""
        for module in self.packages:
            importlib.import_module(module)

    def release(self, plan: Plan) -> Release | None:
        """Return the output guard for a plan, or None."""
        return None

    def events(self, plan: Plan) -> tuple[Event, ...]:
        """List what a plan's releases spend of a privacy budget: nothing without a guard."""
        return ()

    def open(self, opening: Opening) -> Session:
        """Open a session over the owners' shards."""
        return self.session(opening)

    def refuse_gaps(self, program: Program) -> None:
        """Raise what is missing, before anything is started for a program.

        Raises
        ------
        Unsupported
            With the first gap's kind and reason.
        """
        gap = self.gap(program.requires)
        if gap:
            gap()

    def execute(self, program: Program, opening: Opening) -> Run:
        """Run a program where this technique runs programs: by default in this process.

        Raises
        ------
        Unsupported
            An operation that the program needs is not offered.
        PlanExceeded
            The program released a value of a shape or number that its plan did not name.
        """
        self.refuse_gaps(program)
        session = self.open(opening)
        try:
            answer = program(session, opening.plan)
            session.meter.mark()
            return Run(
                answer=answer,
                costs=costs_of(session),
                phases=phases_of(session),
                guarantee=session.guarantee(),
                views=session.transcript.summary(),
                transcript=session.transcript,
            )
        finally:
            session.close()


def costs_of(session: Summing) -> dict[str, Cost]:
    """Costs of a run, from its transcript and meter."""
    transcript = session.transcript
    if transcript.bytes == 0:
        raise PlanExceeded("a technique reported no traffic: its messages are not metered.")
    lan, wan = transcript.timelines
    plain = session.plain_bytes
    dealt = sum(m.size for m in transcript.messages if DEALER in (m.sender, m.receiver))
    offline = {"offline_bytes": Cost(dealt, "measured")} if dealt else {}
    return {
        "wall_s": Cost(session.meter.wall_s, "measured"),
        "cpu_s": Cost(session.meter.cpu_s, "measured"),
        "offline_s": Cost(session.meter.offline_s, "measured"),
        "bytes": Cost(transcript.bytes, "measured"),
        "messages": Cost(len(transcript.messages), "measured"),
        "rounds": Cost(transcript.rounds, "measured"),
        "expansion": Cost(transcript.bytes / plain if plain else None, "measured"),
        "lan_s": Cost(lan.elapsed, "modelled"),
        "wan_s": Cost(wan.elapsed, "modelled"),
        "peak_mib": Cost(session.elsewhere_mib, "measured"),
        **offline,
    }


def phases_of(session: Summing) -> dict[str, dict[str, Any]]:
    """Time of each phase of a run, and whether it could be spent before the data is there."""
    return {
        name: {
            "wall_s": cost.wall_s,
            "cpu_s": cost.cpu_s,
            "when": "offline" if name in OFFLINE else "online",
        }
        for name, cost in session.meter.phases.items()
    }
