"""Scores under differential privacy: compared over seeds, against what chance explains.

Noise and sampling come from the operating system's random numbers, so that the same cell scores
differently each time. One run before and one now tell nothing; several seeds on both sides do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from petlab.core.claims import Metric
from petlab.deciding.diff.change import Change
from petlab.deciding.diff.tolerance import Tolerances
from petlab.running.result import Cell, Result, Status

ENOUGH_SEEDS = 3
"""Fewest seeds on each side."""
CHANCE = 0.001
"""One-sided level of the test: a sweep makes dozens of them, and none should alarm by chance."""

Group = Mapping[str, list[Result]]


def is_noisy(cell: Cell) -> bool:
    """Whether a cell's scores differ from run to run: not where the noise has a seed."""
    return "dp" in cell.technique.split("+") and cell.settings.get("insecure_seed") is None


def seed_changes(
    old: Sequence[Result], new: Sequence[Result], tolerances: Tolerances
) -> dict[str, tuple[tuple[Change, ...], int]]:
    """Compare noisy cells over their seeds.

    Returns
    -------
    dict
        By digest of a cell: the changes, told at the first seed of a group only, and the
        number of seeds that the comparison rests on.
    """
    before, now = _groups(old), _groups(new)
    found = {}
    for key, olds in before.items():
        news = now.get(key, [])
        seeds = min(len(olds), len(news))
        changes: tuple[Change, ...] = ()
        if seeds >= ENOUGH_SEEDS:
            changes = tuple(_changes(olds, news, tolerances))
        first = min(olds, key=lambda result: result.cell.seed)
        for result in olds:
            found[result.cell.digest] = (changes if result is first else (), seeds)
    return found


def _groups(results: Sequence[Result]) -> Group:
    groups: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        if result.status is Status.OK and is_noisy(result.cell):
            groups[replace(result.cell, seed=0).digest].append(result)
    return groups


def _changes(
    old: Sequence[Result], new: Sequence[Result], tolerances: Tolerances
) -> Iterator[Change]:
    import numpy as np

    for name, metric in old[0].quality.items():
        before, now = _values(old, name), _values(new, name)
        if min(len(before), len(now)) < ENOUGH_SEEDS:
            continue
        mean_before, mean_now = float(np.mean(before)), float(np.mean(now))
        allowed = tolerances.of_score(name).allows(mean_before)
        if abs(mean_now - mean_before) > allowed and _by_chance(before, now) < CHANCE:
            worse = (mean_now < mean_before) == (metric.better == "higher")
            what = f"{name}, mean of {len(now)} seeds"
            yield Change(what, mean_before, mean_now, worse, allowed)


def _values(results: Sequence[Result], name: str) -> list[float]:
    metrics = (result.quality.get(name, Metric(None, None, "higher")) for result in results)
    return [metric.value for metric in metrics if metric.value is not None]


def _by_chance(before: Sequence[float], now: Sequence[float]) -> float:
    """How likely two means are this far apart, this way, when nothing changed (Student's t)."""
    from scipy import stats

    if max(before) == min(before) and max(now) == min(now):
        return 0.0 if before[0] != now[0] else 1.0
    return float(stats.ttest_ind(before, now).pvalue) / 2
