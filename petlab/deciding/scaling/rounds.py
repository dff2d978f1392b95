"""Costs of programs that stop by themselves: what a round costs, times the rounds.

Newton's method takes a step more on some records than on others. What one step costs follows a
law exactly; how many there are is a whole number that chance moves.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from petlab.deciding.scaling.design import Design
from petlab.deciding.scaling.law import EXACT, GROWTH, ITERATIONS, plausible
from petlab.deciding.scaling.model import Extrapolated, Samples, extrapolate

ROUNDS = "rounds"
PER_ROUND = ("wall_s", "cpu_s", "bytes", "messages", "lan_s", "wan_s", "offline_s", "offline_bytes")
"""Costs that every round adds to."""
SHORTEST_S = 0.1
"""A time below this is mostly fixed overhead and chance: it says nothing about growth."""


def extrapolate_costs(
    plan: Design, measured: Mapping[str, Samples], sizes: Mapping[str, float]
) -> dict[str, Extrapolated]:
    """Extrapolate every cost of a cell.

    Where the number of rounds follows no law exactly, costs are fitted per round.

    Parameters
    ----------
    measured
        By cost, the repeats at every point of the design, in the same order for every cost.
    """
    rounds = measured.get(ROUNDS)
    if rounds is None or _follow_a_law(plan, rounds):
        return {
            name: _short(name, plan, samples) or extrapolate(name, plan, samples, sizes)
            for name, samples in measured.items()
        }
    slow, quantum = dict.fromkeys(GROWTH, ITERATIONS), _quantum(rounds)
    count = extrapolate(ROUNDS, plan, rounds, sizes, growth=slow, quantum=quantum)
    found = {}
    for name, samples in measured.items():
        if name == ROUNDS:
            found[name] = count
        elif name in PER_ROUND:
            each = {
                digest: [value / n for value, n in zip(values, rounds[digest], strict=True)]
                for digest, values in samples.items()
            }
            short = _short(name, plan, samples)
            found[name] = short or count.times(extrapolate(name, plan, each, sizes))
        else:
            found[name] = extrapolate(name, plan, samples, sizes)
    return found


def _follow_a_law(plan: Design, rounds: Samples) -> bool:
    """Whether all seeds agree, and one law passes through all points of every line."""
    if any(len(set(values)) > 1 for values in rounds.values()):
        return False
    lines = {
        variable: (
            [point.sizes[variable] for point in line],
            [rounds[point.cell.digest][0] for point in line],
        )
        for variable, line in plan.lines.items()
    }
    laws = {name: plausible(GROWTH[name], *line, noise=0.0) for name, line in lines.items()}
    return all(min(law.error for law in found) <= EXACT for found in laws.values())


def _quantum(rounds: Samples) -> float:
    """Smallest difference between two numbers of rounds: what one step more adds."""
    seen = np.unique(np.concatenate([np.asarray(values, float) for values in rounds.values()]))
    return float(np.diff(seen).min(initial=np.inf)) if len(seen) > 1 else 0.0


def _short(name: str, plan: Design, samples: Samples) -> Extrapolated | None:
    if name.endswith("_s") and min(samples[plan.base.cell.digest]) < SHORTEST_S:
        return Extrapolated(None, reason=f"too short to time: under {SHORTEST_S:g} s")
    return None
