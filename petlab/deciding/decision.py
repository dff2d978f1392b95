"""A decision, which shows itself as text for a terminal and as HTML for a notebook."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

from petlab.deciding.evidence import Candidate, Finding
from petlab.deciding.requirement import LOSS, Requirement
from petlab.study import rounding


@dataclass(frozen=True)
class Judged:
    """A candidate and how it stands towards every constraint."""

    candidate: Candidate
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> str:
        """Whether any constraint is "missed", else any "undecided", else all "met"."""
        verdicts = {finding.verdict for finding in self.findings}
        return next((v for v in ("missed", "undecided") if v in verdicts), "met")

    @property
    def by_seeds(self) -> bool:
        """Whether every open constraint has a number whose interval more seeds would narrow."""
        return all(self._number(f) for f in self.findings if f.verdict == "undecided")

    def _number(self, finding: Finding) -> bool:
        return self.candidate.reading(finding.requirement.name) is not None

    @property
    def reasons(self) -> list[str]:
        """The numbers that stand against it."""
        return [f"{f.text}, not {f.requirement}" for f in self.findings if f.verdict == "missed"]

    @property
    def doubts(self) -> list[str]:
        """The numbers whose interval lies on both sides of a limit, or that are not known."""
        return [
            f"{f.text} around {f.requirement}" if self._number(f) else f"{f.text}, {f.requirement}"
            for f in self.findings
            if f.verdict == "undecided"
        ]


@dataclass(frozen=True)
class Question:
    """Candidates that answer the same question: programs that find records in the same place.

    Attributes
    ----------
    judged
        All that have numbers, cleartext aside: those with least of what is preferred first.
    impossible
        Technique and program, and why there is no number.
    foreign
        Constraints that are not held against anybody: they are on scores of other questions.
    """

    title: str
    prefer: str
    judged: tuple[Judged, ...]
    impossible: tuple[tuple[str, str], ...]
    foreign: tuple[Requirement, ...] = ()

    def with_verdict(self, verdict: str) -> list[Judged]:
        """Candidates that are "met", "undecided" or "missed"."""
        return [judged for judged in self.judged if judged.verdict == verdict]

    @property
    def answer(self) -> str:
        """The recommendation in one or two sentences, from the measurements alone."""
        good = self.with_verdict("met")
        if not good:
            unsure = self.with_verdict("undecided")
            if not unsure:
                return "Nothing that was measured meets all constraints."
            names = "; ".join(j.candidate.name for j in unsure if j.by_seeds)
            more = f" More seeds may decide: {names}." if names else ""
            return f"Nothing surely meets all constraints.{more}"
        best, *others = good
        text = f"{best.candidate.name}: {best.candidate.text(self.prefer)}"
        if best.candidate.chief:
            text += f", {best.candidate.text(best.candidate.chief + LOSS)}"
        close = [j.candidate.name for j in others if _alike(best, j, self.prefer)]
        note = f" The difference in {self.prefer} to {'; '.join(close)} is noise." if close else ""
        return f"{text}.{note}"


@dataclass(frozen=True)
class Decision:
    """What the constraints leave, for every question that was measured."""

    requirements: tuple[Requirement, ...]
    questions: tuple[Question, ...]

    def __repr__(self) -> str:
        return decision_text(self)

    def _repr_html_(self) -> str:
        return decision_html(self)


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


def _alike(left: Judged, right: Judged, name: str) -> bool:
    """Whether the intervals of two candidates overlap."""
    a, b = (judged.candidate.reading(name) for judged in (left, right))
    return a is not None and b is not None and a.low <= b.high and b.low <= a.high
