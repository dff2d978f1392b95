"""Time and memory of a run, measured in one place for every technique."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from petlab.metering.transcript import Transcript

OFFLINE = frozenset({"setup", "dealer"})
"""Phases that can be done before the data is there."""


@dataclass
class PhaseCost:
    """Wall and CPU seconds spent in one phase."""

    wall_s: float = 0.0
    cpu_s: float = 0.0


class Meter:
    """A stopwatch that always runs for exactly one phase of one party.

    Entering a phase pauses the one around it, so that the phases add up to the whole.
    CPU time counts all threads of this process and its ended children.
    """

    def __init__(self, transcript: Transcript, *, party: str) -> None:
        self.phases: dict[str, PhaseCost] = {}
        self._transcript = transcript
        self._stack = [("compute", party, True)]
        self._wall, self._cpu = time.perf_counter(), _cpu_seconds()
        transcript.before_send = self.mark

    @contextmanager
    def phase(self, name: str, *, party: str, waits: bool = False) -> Iterator[None]:
        """Book what happens inside on phase `name` of `party`.

        Parameters
        ----------
        waits
            This process only waits for others, whose own clocks the caller advances.
        """
        self.mark()
        self._stack.append((name, party, not waits))
        try:
            yield
        finally:
            self.mark()
            self._stack.pop()

    def mark(self) -> None:
        """Book the time since the last mark on the current phase and party."""
        wall, cpu = time.perf_counter(), _cpu_seconds()
        name, party, works = self._stack[-1]
        cost = self.phases.setdefault(name, PhaseCost())
        cost.wall_s += wall - self._wall
        cost.cpu_s += cpu - self._cpu
        if works:
            self._transcript.compute(party, wall - self._wall)
        self._wall, self._cpu = wall, cpu

    def add(self, name: str, *, cpu_s: float, wall_s: float = 0.0) -> None:
        """Book what other processes spent on a phase."""
        cost = self.phases.setdefault(name, PhaseCost())
        cost.cpu_s += cpu_s
        cost.wall_s += wall_s

    def move(self, source: str, target: str, *, wall_s: float) -> None:
        """Book time that was booked on one phase on another instead."""
        self.mark()
        moved = min(wall_s, self.phases[source].wall_s) if source in self.phases else 0.0
        if moved:
            self.phases[source].wall_s -= moved
            self.add(target, cpu_s=0.0, wall_s=moved)

    def discount(self, name: str, *, wall_s: float) -> None:
        """Take off what importing libraries took elsewhere: nobody is charged for it."""
        self.mark()
        self.phases[name].wall_s -= min(wall_s, self.phases[name].wall_s)

    @property
    def wall_s(self) -> float:
        """Seconds booked so far."""
        return sum(cost.wall_s for cost in self.phases.values())

    @property
    def offline_s(self) -> float:
        """Seconds of it that could be spent before the data is there."""
        return sum(cost.wall_s for name, cost in self.phases.items() if name in OFFLINE)

    @property
    def cpu_s(self) -> float:
        """CPU seconds booked so far."""
        return sum(cost.cpu_s for cost in self.phases.values())


class PeakMemory:
    """Peak resident memory of this process above what it held when this was made."""

    def __init__(self) -> None:
        # On Linux writing 5 resets the high-water mark; elsewhere the peak may be too high.
        self._base = _status_kib("VmRSS") if _reset_high_water_mark() else 0

    @property
    def mib(self) -> float | None:
        """Mebibytes above the baseline, or None where the system does not tell."""
        peak = _status_kib("VmHWM")
        return max(0, peak - self._base) / 1024 if peak and self._base else None


def _reset_high_water_mark() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _status_kib(field: str) -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(field + ":")), 0)


def _cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
