"""Compare every cell of before with the same cell of now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from petlab.core.claims import Guarantee
from petlab.deciding.diff.change import CellDiff, Change, Verdict
from petlab.deciding.diff.noise import ENOUGH_SEEDS, is_noisy, seed_changes
from petlab.deciding.diff.tolerance import ACCOUNTED, Tolerances
from petlab.running.result import Result, Status

WORSE_TO_BETTER = (
    Status.FAILED,
    Status.TIMEOUT,
    Status.MISSING_PACKAGE,
    Status.UNSUPPORTED,
    Status.OK,
)


def compare_results(
    old: Sequence[Result], new: Sequence[Result], tolerances: Tolerances
) -> list[CellDiff]:
    """Say of every cell of either side what became of it.

    A status that got worse, a metric or a cost that got worse by more than its tolerance, a
    guarantee that got weaker and a cell that vanished are regressions.
    """
    now = {result.cell.digest: result for result in new}
    before = {result.cell.digest for result in old}
    by_seed = seed_changes(old, new, tolerances)
    found = []
    for result in old:
        digest = result.cell.digest
        if digest not in now:
            found.append(CellDiff(result.cell, presence=Verdict.GONE))
            continue
        compared = _compare(result, now[digest], tolerances)
        changes, seeds = by_seed.get(digest, ((), 0))
        found.append(
            replace(
                compared,
                changes=(*compared.changes, *changes),
                uncompared=_uncompared(result, now[digest], seeds),
            )
        )
    added = [result for result in new if result.cell.digest not in before]
    found += [
        CellDiff(result.cell, presence=Verdict.NEW, seconds=_seconds(result)) for result in added
    ]
    return found


def _compare(old: Result, new: Result, tolerances: Tolerances) -> CellDiff:
    changes: list[Change] = []
    if old.status is not new.status:
        worse = WORSE_TO_BETTER.index(new.status) < WORSE_TO_BETTER.index(old.status)
        says = f"{new.status}: {new.reason}" if new.reason else str(new.status)
        changes.append(Change("status", str(old.status), says, worse))
    elif new.status is Status.OK:
        changes += _scores(old, new, tolerances)
        changes += _costs(old, new, tolerances)
        changes += _guarantees(old.guarantee, new.guarantee, tolerances)
    return CellDiff(new.cell, tuple(changes), seconds=_seconds(new))


def _scores(old: Result, new: Result, tolerances: Tolerances) -> Iterator[Change]:
    for name, metric in old.quality.items():
        if metric.value is None:
            continue
        value = new.quality[name].value if name in new.quality else None
        if value is not None and is_noisy(old.cell):
            continue
        sign = -1.0 if metric.better == "higher" else 1.0
        yield from _moved(name, metric.value, value, tolerances.of_score(name).allows, sign)


def _costs(old: Result, new: Result, tolerances: Tolerances) -> Iterator[Change]:
    for name, cost in old.costs.items():
        tolerance = tolerances.of_cost(name)
        if tolerance is None or cost.value is None:
            continue
        value = new.costs[name].value if name in new.costs else None
        yield from _moved(name, cost.value, value, tolerance.allows)


def _moved(
    name: str,
    old: float,
    new: float | None,
    allows: Callable[[float], float],
    sign: float = 1.0,
) -> Iterator[Change]:
    """Tell a value that moved further than allowed; `sign` is 1 when a rise is bad."""
    if new is None:
        yield Change(name, old, None, worse=True)
    elif abs(new - old) > allows(old):
        yield Change(name, old, new, worse=sign * (new - old) > 0, allowed=allows(old))


def _guarantees(
    old: Guarantee | None, new: Guarantee | None, tolerances: Tolerances
) -> Iterator[Change]:
    if old is None or new is None:
        if old is not new:
            yield Change("guarantee", _kind(old), _kind(new), worse=new is None)
        return
    if old.kind != new.kind:
        lost = set(old.kind.split("+")) - set(new.kind.split("+")) - {"none"}
        yield Change("guarantee", old.kind, new.kind, worse=bool(lost))
    if set(old.trusted) != set(new.trusted):
        more = bool(set(new.trusted) - set(old.trusted))
        yield Change("trusted", _join(old.trusted), _join(new.trusted), worse=more)
    if old.adversary != new.adversary:
        # Which of two sentences is the stronger promise is for a person to say.
        yield Change("adversary", old.adversary, new.adversary, worse=True)
    if old.security_bits is not None and new.security_bits != old.security_bits:
        fewer = new.security_bits is None or new.security_bits < old.security_bits
        yield Change("security_bits", old.security_bits, new.security_bits, worse=fewer)
    for name in ACCOUNTED:
        spent = getattr(old, name)
        if spent is not None:
            yield from _moved(name, spent, getattr(new, name), tolerances.of_accounted(name).allows)


def _kind(guarantee: Guarantee | None) -> str | None:
    return None if guarantee is None else guarantee.kind


def _join(names: Sequence[str]) -> str:
    return ", ".join(sorted(names)) or "nobody"


def _uncompared(old: Result, new: Result, seeds: int) -> str | None:
    both_ran = old.status is Status.OK and new.status is Status.OK
    if not both_ran or not is_noisy(old.cell) or seeds >= ENOUGH_SEEDS:
        return None
    ran = f"{seeds} seed" + ("s" if seeds != 1 else "")
    return f"scores: they vary with the noise, and {ran} cannot tell ({ENOUGH_SEEDS} can)"


def _seconds(result: Result) -> float:
    cost = result.costs.get("wall_s")
    return float(cost.value or 0.0) if cost else 0.0
