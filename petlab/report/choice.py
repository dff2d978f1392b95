"""Every question that was measured: what meets the constraints and which number ruled out what."""

from __future__ import annotations

from petlab.deciding import Decision
from petlab.deciding.decision import Judged, Question
from petlab.report import phrases
from petlab.report.brief import held_against, recommendation, title
from petlab.report.document import Section, Text
from petlab.report.grid import Column, Entry, Grid, Group, head
from petlab.study.language import paragraph, say

VERDICTS = {"met": "meets all", "undecided": "undecided", "missed": "ruled out"}
COLOURS = {"met": "mark yes", "undecided": "mark later", "missed": "mark never"}


def choice(decision: Decision) -> Section | None:
    """Make one table per question; None when there are no constraints to judge by."""
    questions = [question for question in decision.questions if question.judged]
    if not decision.requirements or not questions:
        return None
    said = say(
        "A candidate is a technique on a program. Undecided: the interval over seeds lies on both "
        "sides of a limit. What could not run at all stands under “Testing”."
    )
    return Section(
        "choice", say("The choice, candidate by candidate"), [Text(said), *map(_grid, questions)]
    )


def _grid(question: Question) -> Grid:
    columns = [
        Column(say("Candidate"), style="text", width="24%"),
        Column(say("Verdict"), style="mark", width="10%"),
        Column(say("What was held against the constraints"), style="text", width="66%"),
    ]
    grid = Grid(title(question), columns, style="prose")
    order = [j for verdict in VERDICTS for j in question.with_verdict(verdict)]
    grid.groups.append(Group(recommendation(question), [_row(judged) for judged in order]))
    return grid


def _row(judged: Judged) -> list[Entry]:
    telling = [f for f in judged.findings if f.verdict == judged.verdict]
    said = dict.fromkeys(held_against(judged.candidate, f.requirement.name) for f in telling)
    return [
        head(phrases.name(judged.candidate)),
        Entry(say(VERDICTS[judged.verdict]), style=COLOURS[judged.verdict]),
        Entry(paragraph(said)),
    ]
