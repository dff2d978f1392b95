"""`petlab list`: tasks, techniques, data sets, and what goes together."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from petlab.cli.command import AddCommand
from petlab.core.composing import OutputGuard
from petlab.core.ops import Gap
from petlab.core.settings import describe_settings
from petlab.core.technique import Technique
from petlab.data.card import read_card
from petlab.data.dataset import shipped
from petlab.running.registry import guards, support, tasks, technique_names, techniques

LISTS = ("tasks", "techniques", "datasets", "support")


def register(add: AddCommand) -> None:
    """Add the command."""
    listing = add("list", _list, "Show tasks, techniques, data sets and what goes together.")
    listing.add_argument("what", nargs="?", choices=LISTS, help="one of them; default: all")


def _list(options: argparse.Namespace) -> int:
    print(show(options.what))
    return 0


@dataclass(frozen=True)
class Support:
    """Whether a technique runs a program, and if not why."""

    task: str
    program: str
    technique: str
    gap: Gap | None


def support_matrix() -> list[Support]:
    """Every discovered program under every discovered technique; derived, never kept."""
    return [
        Support(task.name, name, spec, support(task, program, spec))
        for task in tasks().values()
        for name, program in task.programs.items()
        for spec in technique_names()
    ]


def support_markdown() -> str:
    """Write the support matrix as a Markdown table with its reasons below."""
    names = technique_names()
    reasons: dict[str, int] = {}
    lines = ["| program | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]
    rows: dict[tuple[str, str], list[str]] = {}
    for entry in support_matrix():
        mark = "yes"
        if entry.gap:
            number = reasons.setdefault(entry.gap.reason, len(reasons) + 1)
            mark = f"{entry.gap.kind.replace('_', ' ')} ({number})"
        rows.setdefault((entry.task, entry.program), []).append(mark)
    lines += [f"| `{t}` {p} | " + " | ".join(marks) + " |" for (t, p), marks in rows.items()]
    lines += ["", *(f"{number}. {reason}." for reason, number in reasons.items())]
    return "\n".join(lines)


def show(what: str | None) -> str:
    """Text of one list, or of all."""
    makers = {
        "tasks": _tasks,
        "techniques": _techniques,
        "datasets": _datasets,
        "support": _support,
    }
    wanted = [what] if what else LISTS
    return "\n\n".join("\n".join([name.upper(), *makers[name]()]) for name in wanted)


def _tasks() -> Iterator[str]:
    for task in tasks().values():
        yield f"  {task.name:<10} {task.title}"
        for name, program in task.programs.items():
            yield f"    {name:<10} {program.summary}"
        yield from _settings(task.settings)


def _techniques() -> Iterator[str]:
    kinds: list[type[Technique] | type[OutputGuard]] = [*techniques().values(), *guards().values()]
    for kind in kinds:
        yield f"  {kind.name:<10} {kind.title}: protects {kind.protects}"
        yield from _settings(kind.settings)


def _settings(owner: type) -> Iterator[str]:
    for item in describe_settings(owner):
        yield f"      --set {item.name}={item.default}  {item.help}"


def _datasets() -> Iterator[str]:
    for path in shipped().values():
        card = read_card(path)
        yield f"  {card.name:<16} {card.domain:<10} {card.title} ({card.licence})"


def _support() -> Iterator[str]:
    names = technique_names()
    yield "  " + f"{'':<17}" + "".join(f"{name:<12}" for name in names)
    reasons: list[str] = []
    for task in tasks().values():
        for name, program in task.programs.items():
            marks = []
            for spec in names:
                gap = support(task, program, spec)
                marks.append("yes" if gap is None else gap.kind.replace("_", " "))
                if gap:
                    reasons.append(f"  {task.name}/{name} {spec}: {gap.reason}")
            yield "  " + f"{task.name + '/' + name:<17}" + "".join(f"{m:<12}" for m in marks)
    yield from ["", *reasons] if reasons else []
