"""Telling a process that computes from one that was stopped.

Who waits for an answer cannot tell by waiting: a program may take hours. So the host, while it
waits for its enclave or device, sends a sign of life every second, and looks whether the kernel
has stopped one of its processes; who waits for the host gives up when no sign comes.
"""

from __future__ import annotations

import os
from pathlib import Path

BEAT_S = 1.0
"""Between two signs of life."""
STOPPED_S = 4.0
"""A process that is stopped for longer is given up; shorter stops are waited out."""
SILENCE_S = 10.0
"""Without a sign of life for this long the other end is given up."""
_STOPPED = "Tt"


def stopped() -> list[int]:
    """Descendants of this process that are stopped, by a signal or a debugger; eldest first."""
    return [pid for pid, state in family(os.getpid()).items() if state in _STOPPED]


def family(eldest: int) -> dict[int, str]:
    """State of a process and of its descendants, eldest first, without those that have ended."""
    parents, states = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, *_ = path.read_text().rpartition(")")[2].split()
        except (OSError, ValueError):
            continue
        if state != "Z":
            parents[int(path.parent.name)], states[int(path.parent.name)] = int(parent), state
    found = [eldest]
    for known in found:
        found += sorted(child for child, parent in parents.items() if parent == known)
    return {pid: states[pid] for pid in found if pid in states}
