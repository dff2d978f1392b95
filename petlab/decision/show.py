"""A decision as text for a terminal and as HTML for a notebook."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterable

from petlab.decision.decide import Decision, Judged, Question
from petlab.decision.requirement import LOSS
from petlab.report import rounding

WIDTH = 96


def decision_text(decision: Decision) -> str:
    """Format a decision for a terminal."""
    lines = [f"Constraints: {_constraints(decision)}"]
    for question in decision.questions:
        lines += ["", question.title, "-" * len(question.title)]
        lines += _wrapped("Answer", [question.answer])
        for heading, entries in _sections(question):
            lines += _wrapped(heading, entries)
    return "\n".join(lines)


def decision_html(decision: Decision) -> str:
    """Format a decision for a notebook."""
    parts = [f"<p>Constraints: {html.escape(_constraints(decision))}</p>"]
    for question in decision.questions:
        parts.append(f"<h3>{html.escape(question.title)}</h3>")
        parts.append(f"<p><b>{html.escape(question.answer)}</b></p>")
        for heading, entries in _sections(question):
            items = "".join(f"<li>{html.escape(entry)}</li>" for entry in entries)
            parts.append(f"<p>{html.escape(heading)}</p><ul>{items}</ul>")
    return "".join(parts)


def short_line(judged: Judged, prefer: str) -> str:
    """One candidate of the short list with the numbers that count."""
    candidate = judged.candidate
    names = [*([candidate.chief + LOSS] if candidate.chief else []), prefer, "bytes", "epsilon"]
    numbers = [candidate.text(n) for n in dict.fromkeys(names) if candidate.reading(n)]
    trusted = candidate.guarantee.trusted if candidate.guarantee else ()
    numbers.append(f"trusts {', '.join(trusted) or 'nobody'}")
    return f"{candidate.name}: {'; '.join(numbers)}"


def grouped(question: Question) -> list[tuple[str, str]]:
    """Candidates without numbers by the reason, each reason once."""
    found: dict[str, list[str]] = {}
    for name, reason in question.impossible:
        found.setdefault(reason, []).append(name)
    return [("; ".join(names), reason) for reason, names in found.items()]


def exposed(question: Question) -> list[str]:
    """What the guarantees on the short list leave open, each sentence once."""
    found: dict[str, list[str]] = {}
    for judged in question.with_verdict("met"):
        guarantee = judged.candidate.guarantee
        if guarantee:
            found.setdefault(guarantee.not_protected, []).append(judged.candidate.name)
    return [f"{'; '.join(names)}: {sentence}" for sentence, names in found.items()]


def _sections(question: Question) -> Iterable[tuple[str, list[str]]]:
    sections = (
        ("Short list", [short_line(j, question.prefer) for j in question.with_verdict("met")]),
        ("What the short list leaves exposed", exposed(question)),
        ("Not held against anybody: no such score here", [str(r) for r in question.foreign]),
        (
            "Undecided: the interval lies on both sides of a limit, or no law fits",
            [
                f"{j.candidate.name}: {'; '.join(j.doubts)}"
                for j in question.with_verdict("undecided")
            ],
        ),
        (
            "Ruled out",
            [
                f"{j.candidate.name}: {'; '.join(j.reasons)}"
                for j in question.with_verdict("missed")
            ],
        ),
        ("Not possible", [f"{names}: {reason}" for names, reason in grouped(question)]),
    )
    return [(heading, entries) for heading, entries in sections if entries]


def _constraints(decision: Decision) -> str:
    if not decision.requirements:
        return "none. Say what may be trusted and lost: the least costly often protects least."
    return ", ".join(str(requirement) for requirement in decision.requirements)


def _wrapped(heading: str, entries: list[str]) -> list[str]:
    lines = [f"{heading}:"]
    for entry in entries:
        text = entry.replace(rounding.THIN, " ")
        lines += textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="      ")
    return lines
