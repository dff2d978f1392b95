"""Sort candidates by what was measured: short list, undecided, ruled out, impossible."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from petlab.decision.evidence import Candidate, Finding
from petlab.decision.price import Prices
from petlab.decision.requirement import (
    LOSS,
    Requirement,
    refuse_scores_of_nobody,
    refuse_unmeasured,
)
from petlab.registry import find_program, find_task
from petlab.report import words
from petlab.report.study import BASELINE, Block, Study, Variant
from petlab.result import Result, Status
from petlab.scaling.model import Extrapolated

Scaled = Mapping[tuple[str, str], Mapping[str, Extrapolated]]
"""Extrapolated costs by technique and program."""
PREFER = "wan_s"
"""What the recommended candidate has least of, unless the user says otherwise."""


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
        from petlab.decision.show import decision_text

        return decision_text(self)

    def _repr_html_(self) -> str:
        from petlab.decision.show import decision_html

        return decision_html(self)


def decide(
    results: Sequence[Result],
    requirements: Iterable[Requirement] = (),
    *,
    prefer: str = PREFER,
    prices: Prices | None = None,
    scaled: Scaled | None = None,
) -> Decision:
    """Hold what was measured against constraints.

    Parameters
    ----------
    results
        Of any techniques, programs and seeds; losses are against cleartext's of the same seed.
    prefer
        The cost of which the recommended candidate has least; "price" needs `prices`.
    scaled
        Costs at the size that the user has, by technique and program.

    Raises
    ------
    UsageError
        `prefer` is no cost, a price is asked for without prices, or a constraint is on a
        score that no result has.
    """
    wanted = tuple(requirements)
    refuse_unmeasured(wanted, prefer, prices)
    # A twin is there to be compared with, never to be chosen: it has no noise, or noise that
    # anybody can repeat.
    chosen = [
        r
        for r in results
        if r.cell.settings.get("twin") in (None, "none")
        and r.cell.settings.get("insecure_seed") is None
    ]
    study = Study(chosen)
    refuse_scores_of_nobody(wanted, chosen)
    titles: dict[str, list[Block]] = {}
    for block in study.blocks:
        titles.setdefault(_title(block), []).append(block)

    def candidate(block: Block, variant: Variant) -> Candidate:
        there = (scaled or {}).get((variant.technique, block.program))
        return Candidate(study, block, variant, prices, there)

    questions = [
        _question(title, blocks, wanted, prefer, candidate) for title, blocks in titles.items()
    ]
    return Decision(wanted, tuple(questions))


def _title(block: Block) -> str:
    task = find_task(block.task)
    placement = find_program(task, block.program).placement
    return f"{task.title} on {block.data}, {placement}"


def _question(
    title: str,
    blocks: list[Block],
    requirements: tuple[Requirement, ...],
    prefer: str,
    make: Callable[[Block, Variant], Candidate],
) -> Question:
    judged, impossible = [], []
    there = {name for block in blocks for name in _scores(block)}
    foreign = tuple(r for r in requirements if there and r.score and r.score not in there)
    held = [requirement for requirement in requirements if requirement not in foreign]
    for block in blocks:
        for variant in block.variants:
            if variant.technique == BASELINE:
                continue
            if not variant.ok:
                impossible.append((f"{variant.label}, {block.program}", _why(variant.results)))
                continue
            candidate = make(block, variant)
            findings = tuple(candidate.finding(requirement) for requirement in held)
            judged.append(Judged(candidate, findings))
    judged.sort(key=lambda j: _amount(j, prefer))
    return Question(title, prefer, tuple(judged), tuple(impossible), foreign)


def _scores(block: Block) -> set[str]:
    found = [result for variant in block.variants for result in variant.ok]
    return {name for result in found for name in (*result.quality, *result.exposure)}


def _why(results: Sequence[Result]) -> str:
    status = results[0].status
    text = results[0].reason or "no reason given"
    return text if status is Status.UNSUPPORTED else f"{words.STATUSES[status].title}: {text}"


def _amount(judged: Judged, name: str) -> float:
    found = judged.candidate.reading(name)
    return float("inf") if found is None else found.value


def _alike(left: Judged, right: Judged, name: str) -> bool:
    """Whether the intervals of two candidates overlap."""
    a, b = (judged.candidate.reading(name) for judged in (left, right))
    return a is not None and b is not None and a.low <= b.high and b.low <= a.high
