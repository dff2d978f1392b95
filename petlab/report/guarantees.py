"""What was promised to whom, what was not, and what each party saw."""

from __future__ import annotations

import re
from collections import Counter

from petlab.core.claims import Guarantee
from petlab.report.grid import Column, Entry, Grid, Group, head, number
from petlab.running.result import Result
from petlab.study import rounding, words
from petlab.study.blocks import Study
from petlab.study.language import say, sentences


def guarantee_grid(study: Study) -> Grid:
    """Make one row per technique and promise; equal promises share a row."""
    columns = [
        Column(say("Technique"), style="text", width="10%"),
        Column(say("Protects"), style="text", width="18%"),
        Column(say("What is not protected"), style="text", width="27%"),
        Column(say("Must be trusted"), say("with what they receive"), style="text", width="15%"),
        Column(say("Adversary"), style="text", width="13%"),
        Column(say("Strength"), style="text", width="17%"),
    ]
    grid = Grid(say("What each technique guarantees, and what it does not"), columns, style="prose")
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
        head(label, below=say("all its programs") if alone else ", ".join(where)),
        Entry(sentences(guarantee.protects), below=words.kind(guarantee.kind)),
        Entry(sentences(guarantee.not_protected), style="text exposed"),
        Entry(
            say("; ").join(trusted)
            or say("nobody, as long as the adversary keeps to the next column")
        ),
        Entry(sentences(guarantee.adversary)),
        Entry(_strength(guarantee), below=_mechanisms(results)),
    ]


def _trusted(party: str, results: list[Result]) -> str:
    """Name a trusted party and, from the transcript, what it gets to see."""
    seen = dict.fromkeys(
        str(entry["what"]) for result in results for entry in result.views.get(party, [])
    )
    name, received = sentences(party), say(", ").join(map(sentences, seen))
    return say("{party}: receives {what}", party=name, what=received) if seen else name


def _strength(guarantee: Guarantee) -> str:
    parts = []
    if guarantee.security_bits is not None:
        parts.append(say("{n}-bit security", n=guarantee.security_bits))
    if guarantee.epsilon is not None:
        parts.append(
            say(
                "ε = {epsilon}, δ = {delta} (accounted)",
                epsilon=f"{guarantee.epsilon:.4g}",
                delta=rounding.power(guarantee.delta),
            )
        )
    return say("; ").join(parts) or say("not quantified")


def _mechanisms(results: list[Result]) -> str:
    found = dict.fromkeys(r.guarantee.mechanism for r in results if r.guarantee)
    return "\n".join(sorted(sentences(mechanism) for mechanism in found if mechanism))


def _views(task: str, program: str, runs: dict[str, Result]) -> Grid:
    columns = [
        Column(say("Technique"), style="text", width="12%"),
        Column(say("Party"), style="text", width="16%"),
        Column(say("receives"), style="text", width="28%"),
        Column(say("from"), style="text", width="20%"),
        Column(say("Messages"), say("measured"), width="12%"),
        Column(say("Bytes"), say("measured"), width="12%"),
    ]
    grid = Grid(
        say("{name}: what each party received", name=f"{task} / {program}"), columns, style="views"
    )
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
                    Entry(sentences(what)),
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
        return say("{n} owners, together", n=len(parties))
    return sentences(next(iter(parties)))


def _is_owner(party: str) -> bool:
    return re.fullmatch(r"owner-\d+", party) is not None
