"""Sort candidates by what was measured: short list, undecided, ruled out, impossible."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from petlab.deciding.decision import Decision, Judged, Question
from petlab.deciding.evidence import Candidate
from petlab.deciding.requirement import (
    Requirement,
    refuse_scores_of_nobody,
    refuse_unmeasured,
)
from petlab.deciding.scaling.model import Extrapolated
from petlab.running.registry import find_program, find_task
from petlab.running.result import Result, Status
from petlab.study import words
from petlab.study.blocks import BASELINE, Block, Study, Variant
from petlab.study.price import Prices

Scaled = Mapping[tuple[str, str], Mapping[str, Extrapolated]]
"""Extrapolated costs by technique and program."""
PREFER = "wan_s"
"""What the recommended candidate has least of, unless the user says otherwise."""


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
