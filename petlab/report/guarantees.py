"""What was promised to whom, what was not, and what each party saw."""

from __future__ import annotations

import re
from collections import Counter

from petlab.report import rounding, words
from petlab.report.grid import Column, Entry, Grid, Group, head, number
from petlab.report.study import Study
from petlab.result import Guarantee, Result


def guarantee_grid(study: Study) -> Grid:
    """Make one row per technique and promise; equal promises share a row."""
    columns = [
        Column("Technique", style="text", width="10%"),
        Column("Protects", style="text", width="18%"),
        Column("What is not protected", style="text", width="27%"),
        Column("Must be trusted", "with what they receive", style="text", width="15%"),
        Column("Adversary", style="text", width="13%"),
        Column("Strength", style="text", width="17%"),
    ]
    grid = Grid("What each technique guarantees, and what it does not", columns, style="prose")
    groups: dict[tuple[object, ...], list[Result]] = {}
    for result in study.ok:
        if result.guarantee:
            key = (study.label(result), *_promise(result.guarantee))
            groups.setdefault(key, []).append(result)
    order = {label: place for place, label in enumerate(study.labels)}
    found = sorted(groups.items(), key=lambda item: order[str(item[0][0])])
    promises = Counter(key[0] for key in groups)
    rows = [_row(str(key[0]), results, alone=promises[key[0]] == 1) for key, results in found]
    grid.groups.append(Group("", rows))
    return grid


def view_grids(study: Study) -> list[Grid]:
    """List what each party received: one table per program, one run per technique."""
    grids = []
    for task, program in study.programs:
        runs: dict[str, Result] = {}
        for result in study.ok:
            if (result.cell.task, result.cell.program) == (task, program) and result.views:
                runs.setdefault(result.cell.technique, result)
        if runs:
            grids.append(_views(task, program, runs))
    return grids


def _promise(guarantee: Guarantee) -> tuple[object, ...]:
    epsilon = None if guarantee.epsilon is None else f"{guarantee.epsilon:.4g}"
    return (
        guarantee.kind,
        guarantee.protects,
        guarantee.not_protected,
        guarantee.adversary,
        guarantee.trusted,
        guarantee.security_bits,
        epsilon,
        guarantee.delta,
    )


def _row(label: str, results: list[Result], *, alone: bool) -> list[Entry]:
    guarantee = results[0].guarantee
    assert guarantee is not None
    where = list(dict.fromkeys(f"{r.cell.task}/{r.cell.program}" for r in results))
    trusted = [_trusted(party, results) for party in guarantee.trusted]
    return [
        head(label, below="all its programs" if alone else ", ".join(where)),
        Entry(guarantee.protects, below=words.kind(guarantee.kind)),
        Entry(guarantee.not_protected, style="text exposed"),
        Entry("; ".join(trusted) or "nobody, as long as the adversary keeps to the next column"),
        Entry(guarantee.adversary),
        Entry(_strength(guarantee), below=_mechanisms(results)),
    ]


def _trusted(party: str, results: list[Result]) -> str:
    """Name a trusted party and, from the transcript, what it gets to see."""
    seen = dict.fromkeys(
        str(entry["what"]) for result in results for entry in result.views.get(party, [])
    )
    return f"{party}: receives {', '.join(seen)}" if seen else party


def _strength(guarantee: Guarantee) -> str:
    parts = []
    if guarantee.security_bits is not None:
        parts.append(f"{guarantee.security_bits}-bit security")
    if guarantee.epsilon is not None:
        parts.append(
            f"ε = {guarantee.epsilon:.4g}, δ = {rounding.power(guarantee.delta)} (accounted)"
        )
    return "; ".join(parts) or "not quantified"


def _mechanisms(results: list[Result]) -> str:
    found = dict.fromkeys(r.guarantee.mechanism for r in results if r.guarantee)
    return "\n".join(sorted(mechanism for mechanism in found if mechanism))


def _views(task: str, program: str, runs: dict[str, Result]) -> Grid:
    columns = [
        Column("Technique", style="text", width="12%"),
        Column("Party", style="text", width="16%"),
        Column("receives", style="text", width="28%"),
        Column("from", style="text", width="20%"),
        Column("Messages", "measured", width="12%"),
        Column("Bytes", "measured", width="12%"),
    ]
    grid = Grid(f"{task} / {program}: what each party received", columns, style="views")
    for technique, result in runs.items():
        lines = _lines(result)
        rows = []
        for place, (party, what, sender, messages, size) in enumerate(lines):
            first = [head(technique, rows=len(lines))] if place == 0 else []
            shown = party if place == 0 or lines[place - 1][0] != party else ""
            rows.append(
                [
                    *first,
                    Entry(shown),
                    Entry(what),
                    Entry(sender),
                    number(rounding.count(messages)),
                    number(rounding.size(size)),
                ]
            )
        grid.groups.append(Group("", rows))
    return grid


def _lines(result: Result) -> list[tuple[str, str, str, int, int]]:
    """Received messages by party, what and sender; owners who see alike share a line."""
    total: dict[tuple[str, str, str], list[int]] = {}
    receivers: dict[tuple[str, str, str], set[str]] = {}
    senders: dict[tuple[str, str, str], set[str]] = {}
    alike = _alike(result)
    for party, entries in result.views.items():
        for entry in entries:
            sender = str(entry["sender"])
            key = (_role(party, alike), str(entry["what"]), _role(sender, alike))
            sums = total.setdefault(key, [0, 0])
            sums[0] += int(entry["messages"])
            sums[1] += int(entry["bytes"])
            receivers.setdefault(key, set()).add(party)
            senders.setdefault(key, set()).add(sender)
    return sorted(
        (_names(key[0], receivers[key]), key[1], _names(key[2], senders[key]), n, size)
        for key, (n, size) in total.items()
    )


def _alike(result: Result) -> bool:
    """Whether all owners received the same kinds of things from the same parties."""
    seen = {
        frozenset((entry["what"], entry["sender"]) for entry in entries)
        for party, entries in result.views.items()
        if _is_owner(party)
    }
    return len(seen) <= 1 and any(not _is_owner(party) for party in result.views)


def _role(party: str, alike: bool) -> str:
    return "owner" if alike and _is_owner(party) else party


def _names(role: str, parties: set[str]) -> str:
    if role == "owner" and len(parties) > 1:
        return f"{len(parties)} owners, together"
    return next(iter(parties))


def _is_owner(party: str) -> bool:
    return re.fullmatch(r"owner-\d+", party) is not None
