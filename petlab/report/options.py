"""Page one without constraints: what each option buys, and what it leaves open."""

from __future__ import annotations

from collections.abc import Iterable

from petlab.deciding.decision import Question
from petlab.deciding.evidence import Candidate
from petlab.deciding.requirement import LOSS
from petlab.report import phrases
from petlab.report.document import Bullets, Heading, Part, Text
from petlab.report.exposure import membership, told_members
from petlab.report.plain import plain
from petlab.report.summary import Lesson, cautions, lessons
from petlab.study.blocks import BASELINE, Study
from petlab.study.language import paragraph, say
from petlab.study.titles import technique_title

DETAILED = 2
"""Questions that page one answers in full; the others stand behind it."""
OPTIONS = 8
"""Techniques that page one compares when no constraint is given."""
INTERVALS = (
    "Losses and traffic are measured, WAN times are modelled from measured bytes, rounds and "
    "computing time, epsilon is accounted by a proof. Numbers are means over the seeds; ± is half "
    "of a 95 % interval: a loss smaller than its ± may be chance."
)


def options(study: Study, questions: list[Question]) -> Iterable[Part]:
    """Compare the options without recommending one."""
    prefer, chosen = questions[0].prefer, _single(questions)
    many = len(questions) > DETAILED
    single = {v.label for b in study.blocks for v in b.variants if v.label == v.technique}
    single = {label for label in single if "+" not in label}
    yield Heading(say("The answer"))
    yield Text(
        say(
            "No constraint was given, so nothing is recommended: how much accuracy, time and "
            "trust may cost is for you to say. What each option buys:"
        ),
        strong=True,
    )
    if many:
        kept = [x for x in lessons(study) if x.label in single and x.label != BASELINE]
        yield Bullets([_lesson(x) for x in kept[:OPTIONS]])
    else:
        yield Bullets([_option(candidate, prefer) for candidate in chosen[:OPTIONS]])
    yield Heading(say("The evidence"))
    yield Bullets([say(INTERVALS), *cautions(study), *_told(chosen)])
    yield Heading(say("What remains exposed"))
    open_ = {technique_title(c.variant.technique): left_open(c) for c in chosen[:OPTIONS]}
    yield Bullets(
        [
            say("{name}: {title}", name=name, title=paragraph(said[:2]))
            for name, said in open_.items()
        ]
    )
    yield Text(say("More stands under “Trust and skills”, and compositions in every table."))


def _lesson(lesson: Lesson) -> str:
    name = say("{name}: {title}", name=f"{lesson.title} [{lesson.label}]", title=lesson.kept)
    return paragraph([name, lesson.cost])


def _told(chosen: list[Candidate]) -> Iterable[str]:
    """Say which released model told an attack most about its training records."""
    found = [(e.mean, c) for c in chosen if (e := membership(c.variant))]
    if found:
        worst = max(found, key=lambda item: item[0])[1]
        for said in told_members(worst.variant):
            yield say("Most told by {name}: {title}", name=phrases.name(worst), title=said)


def _single(questions: list[Question]) -> list[Candidate]:
    """Candidates of one technique first, compositions after them."""
    found = [j.candidate for question in questions for j in question.judged]
    return (
        sorted(
            (c for c in found if "+" not in c.variant.technique or len(found) <= OPTIONS),
            key=lambda c: "+" in c.variant.technique,
        )
        or found
    )


def _option(candidate: Candidate, prefer: str) -> str:
    chief = candidate.chief
    loss = phrases.fact(candidate, chief + LOSS, seeds=False) if chief else ""
    return paragraph(
        part
        for part in (
            say(
                "{name} protects {what}; to be trusted: {trusted}.",
                name=phrases.name(candidate),
                what=phrases.protected(candidate),
                trusted=phrases.trusted(candidate),
            ),
            loss,
            phrases.fact(candidate, prefer, seeds=False),
        )
        if part
    )


def left_open(candidate: Candidate) -> list[str]:
    """Say what stays exposed, in plain sentences."""
    return plain(candidate.guarantee) if candidate.guarantee else [say("Not stated.")]
