"""Accuracy tables: values beside the reference's, differences to cleartext, intervals."""

from __future__ import annotations

from petlab.report.grid import Column, Entry, Grid, Group, head, number
from petlab.running.result import Status
from petlab.study import rounding, words
from petlab.study.blocks import BASELINE, Block, Study, Variant, blocks_of, direction, shown_metrics
from petlab.study.interval import Estimate, estimate
from petlab.study.language import say, sentences
from petlab.study.titles import program_title

TINY = 1e-12
DIFFERENCE = 52.0
"""Per cent of a table's width for differences: "± 0.091 inconclusive" is the longest."""


def accuracy_grids(study: Study) -> list[Grid]:
    """Make one table per program."""
    return [grid for key in study.programs if (grid := _grid(study, *key))]


def caption(task: str, program: str) -> str:
    """Head a table: names as the command line has them, and what happens."""
    title = sentences(program_title(task, program))
    return (
        say("{name}: {title}", name=f"{task} / {program}", title=title)
        if title
        else (f"{task} / {program}")
    )


def spread(found: Estimate | None, name: str) -> str:
    """Half the interval's width, as "± 0.012"."""
    if found is None or found.half is None or found.half < TINY:
        return ""
    return f"± {rounding.metric(name, found.half)}"


def seeds_text(variant: Variant) -> str:
    """How many seeds stand behind a row, such as "3", or "2 of 3" when one gave no numbers."""
    ran, asked = (len({r.cell.seed for r in found}) for found in (variant.ok, variant.results))
    return str(ran) if ran == asked else say("{ran} of {asked}", ran=ran, asked=asked)


def outcome(variant: Variant) -> str:
    """Phrase how a variant without any number ended."""
    statuses = dict.fromkeys(result.status for result in variant.results)
    return say(", ").join(words.status(status).title for status in statuses)


def absent_rows(block: Block, span: int) -> list[list[Entry]]:
    """Make one row for all variants without numbers that ended in the same way."""
    ended: dict[str, list[str]] = {}
    for variant in block.variants:
        if not variant.ok:
            ended.setdefault(outcome(variant), []).append(variant.label)
    rows = []
    for how, labels in ended.items():
        text = say("{how}: see “What did not run”", how=how)
        rows.append([head(say(", ").join(labels)), Entry(text, style="gap", span=span)])
    return rows


def _grid(study: Study, task: str, program: str) -> Grid | None:
    blocks = blocks_of(study, task, program)
    metrics = shown_metrics(blocks)
    if not metrics:
        return None
    upper = [Column("", span=2)]
    columns = [
        Column(say("Technique"), style="text", width="13%"),
        Column(say("Seeds"), width="6%"),
    ]
    for name in metrics:
        higher = direction(blocks, name) == "higher"
        arrow = say("higher is better") if higher else say("lower is better")
        upper.append(Column(words.metric(name).title, arrow, span=2))
        columns += [
            Column(say("value")),
            Column(say("against cleartext"), width=f"{DIFFERENCE / len(metrics)}%"),
        ]
    grid = Grid(caption(task, program), columns, upper=upper, style="accuracy")
    for block in blocks:
        rows = [_reference_row(block, metrics)]
        rows += [_row(grid, study, variant, metrics) for variant in block.variants if variant.ok]
        rows += absent_rows(block, 2 * len(metrics) + 1)
        grid.groups.append(Group(say("Data set {data}", data=block.data), rows))
    return grid


def _reference_row(block: Block, metrics: list[str]) -> list[Entry]:
    seeds = {seed for seed, _ in block.references}
    row = [head(say("reference")), number(str(len(seeds)))]
    for name in metrics:
        found = block.reference(name)
        row += [number(rounding.metric(name, found.mean if found else None), spread(found, name))]
        row += [number("")]
    return row


def _row(grid: Grid, study: Study, variant: Variant, metrics: list[str]) -> list[Entry]:
    row = [head(variant.label, note=_mismatch(grid, study, variant)), number(seeds_text(variant))]
    for name in metrics:
        found = variant.metric(name)
        text = rounding.metric(name, found.mean if found else None)
        row.append(number(text, spread(found, name)))
        row.append(_difference(study, variant, name))
    return row


def _difference(study: Study, variant: Variant, name: str) -> Entry:
    if variant.technique == BASELINE:
        return number("")
    found = estimate(study.differences(variant, name))
    judged = study.judge(variant, name)
    if found is None or judged is None:
        return number(rounding.ABSENT)
    if judged == "same":
        return Entry(say("same"), style="number same")
    below = f"{spread(found, name)} {say(judged)}".strip()
    style = f"number {judged}" if judged in ("worse", "better") else "number"
    return Entry(rounding.metric(name, found.mean, signed=True), below, style=style)


def _mismatch(grid: Grid, study: Study, variant: Variant) -> int | None:
    """Footnote for a row whose cleartext partner ran with other task settings."""
    for result in variant.results:
        partner = study.partner(result)
        if result.status is Status.OK and partner is None:
            return grid.note(say("No cleartext run on the same data and seed: no difference."))
        departures = study.departures(result, partner) if partner else []
        if departures:
            return grid.note(
                say(
                    "The cleartext run that this is compared with has another {settings}; data, "
                    "split and seed are the same.",
                    settings=say(", ").join(departures),
                )
            )
    return None
