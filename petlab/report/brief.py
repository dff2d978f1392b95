"""Page one, for a manager: question, answer, evidence, what remains exposed, and the law."""

from __future__ import annotations

from collections.abc import Iterable

from petlab.deciding import Decision
from petlab.deciding.decision import Judged, Question
from petlab.deciding.evidence import Candidate
from petlab.deciding.requirement import LOSS, WORDS
from petlab.report import phrases
from petlab.report.document import Bullets, Heading, Part, Section, Text
from petlab.report.exposure import told_members
from petlab.report.options import DETAILED, left_open, options
from petlab.report.summary import asked
from petlab.running.registry import find_program, find_task
from petlab.running.result import EVALUATION
from petlab.study.blocks import Study
from petlab.study.language import listed, paragraph, say, sentences
from petlab.study.titles import data_title, mid_sentence, task_title

LINES = 5
"""Further questions that page one answers in a line each."""
CLOSE_CALLS = 2
"""Candidates that were ruled out, of which page one gives the number that did it."""


def brief(study: Study, decision: Decision) -> Section:
    """Write page one from the decision; without constraints it says what each option buys."""
    questions = sorted((q for q in decision.questions if q.judged), key=_how_open)
    parts: list[Part] = [Text(say(EVALUATION), strong=True), Heading(say("The question"))]
    parts += _question(study, decision, questions)
    if not questions:
        parts.append(
            Text(say("Nothing that was measured can answer it: no technique gave numbers."))
        )
    elif decision.requirements:
        parts += _answered(questions)
    else:
        parts += options(study, questions)
    parts += [Heading(say("The law")), Text(say(LAW))]
    return Section("brief", say("For the decision"), parts)


LAW = (
    "Encryption alone does not settle the legal question. Encrypted personal data is still "
    "personal data under Japanese law (the Act on the Protection of Personal Information, APPI), "
    "as it is under the GDPR. Consent and purpose still count, and so do the contracts with "
    "whoever computes. This is not legal advice."
)


def _question(study: Study, decision: Decision, questions: list[Question]) -> Iterable[Part]:
    if len(questions) > DETAILED or not questions:
        for sentence in asked(study):
            yield Text(sentence)
    else:
        for question in questions:
            yield Text(_asked(question))
    if decision.requirements:
        wanted = say("; ").join(phrases.constraint(r) for r in decision.requirements)
        yield Text(say("What is chosen has to keep to: {constraints}.", constraints=wanted))


def _asked(question: Question) -> str:
    candidate = question.judged[0].candidate
    cell = candidate.variant.results[0].cell
    seeds = {r.cell.seed for j in question.judged for r in j.candidate.variant.ok}
    return say(
        "Which privacy-enhancing technique suits {task} on the data “{data}” ({place})? "
        "Measured: {n} candidates, seeds {seeds}, each against the same program without "
        "protection.",
        task=mid_sentence(task_title(cell.task)),
        data=data_title(cell),
        place=_place(question),
        n=len(question.judged),
        seeds=listed(str(seed) for seed in sorted(seeds)),
    )


def _answered(questions: list[Question]) -> Iterable[Part]:
    many = len(questions) > 1
    detailed, further = questions[:DETAILED], questions[DETAILED:]
    yield Heading(say("The answer"))
    for question in detailed:
        answer = recommendation(question)
        yield Text(_labelled(question, answer) if many else answer, strong=True)
    lines = [_labelled(q, recommendation(q, short=True)) for q in further[:LINES]]
    if lines:
        yield Bullets(lines)
    if len(further) > LINES:
        yield Text(say("{n} more questions are answered behind this page.", n=len(further) - LINES))
    yield Heading(say("The evidence"))
    for question in detailed:
        if many:
            yield Text(title(question))
        yield Bullets(list(_evidence(question)))
    yield Heading(say("What remains exposed"))
    open_ = [f"{phrases.name(c)}: {paragraph(left_open(c))}" for c in _chosen(detailed)]
    yield Bullets(open_) if open_ else Text(say("Nothing is recommended, so nothing is judged."))


def _how_open(question: Question) -> tuple[bool, bool]:
    """Questions with a recommendation sort first, those without any candidate last."""
    return not question.with_verdict("met"), not question.with_verdict("undecided")


def _place(question: Question) -> str:
    """Say where the records lie."""
    block = question.judged[0].candidate.block
    return sentences(find_program(find_task(block.task), block.program).placement)


def _labelled(question: Question, answer: str) -> str:
    return say("{name}: {title}", name=title(question), title=answer)


def title(question: Question) -> str:
    """Name a question by its task, data set and where the records lie."""
    block = question.judged[0].candidate.block
    return say(
        "{task} on {data} ({place})",
        task=task_title(block.task),
        data=block.data,
        place=_place(question),
    )


def recommendation(question: Question, *, short: bool = False) -> str:
    """Say what meets the constraints and costs least, or that nothing does."""
    good, unsure = question.with_verdict("met"), question.with_verdict("undecided")
    if not good and not unsure:
        return say("Nothing that was measured meets every constraint.")
    if not good:
        names = say("; ").join(j.candidate.name for j in unsure)
        return say(
            "Nothing surely meets every constraint; more seeds may decide: {names}.", names=names
        )
    best = good[0].candidate
    said = [say("Recommended: {name}.", name=phrases.name(best))]
    if short:
        return said[0]
    if len(good) == 1:
        said.append(
            say("Of {n} candidates it alone meets every constraint.", n=len(question.judged))
        )
    else:
        said.append(
            say(
                "It meets every constraint, and of the {n} that do it has least of: {cost}.",
                n=len(good),
                cost=phrases.quantity(question.prefer),
            )
        )
    if question.foreign:
        foreign = listed(phrases.constraint(r) for r in question.foreign)
        said.append(
            say("No score here, so not held against anybody: {constraints}.", constraints=foreign)
        )
    close = _within_noise(good, question.prefer)
    if close:
        said.append(
            say(
                "In this it cannot be told from {names}: the intervals overlap.",
                names=listed(close),
            )
        )
    return paragraph(said)


def _within_noise(good: list[Judged], name: str) -> list[str]:
    """Candidates whose interval overlaps with that of the first."""
    first, *others = [(judged.candidate.name, judged.candidate.reading(name)) for judged in good]
    return [
        there
        for there, found in others
        if first[1] and found and first[1].low <= found.high and found.low <= first[1].high
    ]


def _evidence(question: Question) -> Iterable[str]:
    good = question.with_verdict("met")
    if good:
        best, first = good[0].candidate, good[0]
        asked_ = [f.requirement.name for f in first.findings if f.requirement.name not in WORDS]
        chief = [best.chief + LOSS] if best.chief else []
        for name in dict.fromkeys([*chief, *asked_, question.prefer, "bytes"]):
            yield phrases.fact(best, name)
        yield phrases.against(best)
        yield from told_members(best.variant)
    missed = question.with_verdict("missed")
    for judged in missed[:CLOSE_CALLS]:
        yield ruled_out(judged)
    more, unsure = max(0, len(missed) - CLOSE_CALLS), len(question.with_verdict("undecided"))
    if more or unsure:
        yield say(
            "Further ruled out: {n}; undecided: {unsure}. The next page says why.",
            n=more,
            unsure=unsure,
        )


def ruled_out(judged: Judged) -> str:
    """Name the number that ruled a candidate out."""
    finding = next(f for f in judged.findings if f.verdict == "missed")
    wanted = phrases.constraint(finding.requirement)
    return say(
        "Ruled out: {name}. {number} Asked for: {constraint}.",
        name=phrases.name(judged.candidate),
        number=held_against(judged.candidate, finding.requirement.name),
        constraint=wanted,
    )


def held_against(candidate: Candidate, name: str) -> str:
    """Make a sentence of what a constraint is held against."""
    return phrases.against(candidate) if name in WORDS else phrases.fact(candidate, name)


def _chosen(questions: list[Question]) -> list[Candidate]:
    good = [q.with_verdict("met") for q in questions]
    return list({c.name: c for found in good if found for c in [found[0].candidate]}.values())
