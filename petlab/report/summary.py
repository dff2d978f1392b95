"""What was asked and what came out, in sentences that are made from the numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from petlab.report.accuracy import outcome
from petlab.report.costs import COMPARED
from petlab.report.grid import Column, Entry, Grid, Group, head
from petlab.study import rounding, words
from petlab.study.blocks import BASELINE, Block, Study, Variant, blocks_of, shown_metrics
from petlab.study.interval import estimate
from petlab.study.language import listed, paragraph, say, sentences
from petlab.study.titles import data_title, mid_sentence, task_title, technique_title

SHORT_RUN_S = 0.02
"""Below this a cleartext run is mostly fixed overhead."""
TALLIED = {"same": "the same as cleartext", "1 seed": "different on one seed"}


@dataclass(frozen=True)
class Lesson:
    """What one technique kept, cost and left exposed."""

    label: str
    title: str
    kept: str
    cost: str
    exposed: str


def asked(study: Study) -> list[str]:
    """Say what was compared, on which data."""
    cells = [result.cell for result in study.results]
    tasks = dict.fromkeys(mid_sentence(task_title(cell.task)) for cell in cells)
    data = dict.fromkeys(data_title(cell) for cell in cells)
    techniques = dict.fromkeys(
        f"{mid_sentence(technique_title(cell.technique))} [{cell.technique}]" for cell in cells
    )
    seeds = sorted({cell.seed for cell in cells})
    return [
        say(
            "Which privacy-enhancing technique suits which analysis? Compared here: {techniques}. "
            "Analyses: {analyses}.",
            techniques=listed(techniques),
            analyses=listed(tasks),
        ),
        say(
            "Data: {data}. For one data set and seed, every technique got the same records and "
            "the same split. Seeds: {seeds}.",
            data=say("; ").join(data),
            seeds=listed(map(str, seeds)),
        ),
    ]


def outcome_counts(study: Study) -> list[tuple[str, int, str]]:
    """Title, number and meaning of each status that occurs."""
    counted = Counter(result.status for result in study.results)
    return [
        (words.status(status).title, counted[status], words.status(status).meaning)
        for status in words.STATUSES
        if counted[status]
    ]


def lessons(study: Study) -> list[Lesson]:
    """Sum up each technique over everything it ran."""
    found = []
    for label in study.labels:
        variants = [(b, v) for b in study.blocks for v in b.variants if v.label == label and v.ok]
        if variants:
            found.append(
                Lesson(
                    label,
                    technique_title(variants[0][1].technique),
                    _kept(study, variants),
                    _multiples(study, variants),
                    _exposed(variants),
                )
            )
    return found


def cautions(study: Study) -> list[str]:
    """Say what the numbers cannot carry."""
    found = []
    times = [r.costs["wall_s"].value for r in study.ok if "wall_s" in r.costs]
    short = [t for t in times if t is not None and t < SHORT_RUN_S]
    if short:
        found.append(
            say(
                "{n} of {total} runs took less than {limit}: multiples of so short a time say "
                "little, and more about fixed overhead than about larger data.",
                n=len(short),
                total=len(times),
                limit=rounding.seconds(SHORT_RUN_S),
            )
        )
    if len({result.cell.seed for result in study.results}) == 1:
        found.append(say("One seed: nothing here tells a small difference from chance."))
    else:
        found.append(
            say(
                "Intervals are over seeds: they show what splits, initial models and noise do, "
                "not what another population would."
            )
        )
    return found


def glance_grids(study: Study) -> list[Grid]:
    """Make the tables that stand first: per program and technique, accuracy kept and cost."""
    labels = [label for label in study.labels if _ran(study, label)]
    single = [label for label in labels if "+" not in label]
    composed = [label for label in labels if "+" in label]
    title = say("At a glance: the main metric, and the cost against cleartext")
    grids = [_glance_grid(study, single, title)]
    if composed:
        grids.append(_glance_grid(study, composed, say("Compositions at a glance")))
    return grids


def _glance_grid(study: Study, labels: list[str], title: str) -> Grid:
    columns = [Column(say("Task and program"), say("main metric"), style="text", width="17%")]
    columns += [Column(label, style="glance") for label in labels]
    grid = Grid(title, columns)
    grid.style = "glance"
    rows = []
    for task, program in study.programs:
        blocks = blocks_of(study, task, program)
        metrics = shown_metrics(blocks)
        ran = any(v.ok for b in blocks for v in b.variants if v.label in labels)
        if metrics and ran:
            name = metrics[0]
            cells = [_glance(study, blocks, label, name) for label in labels]
            rows.append([head(f"{task} / {program}", below=words.metric(name).title), *cells])
    grid.groups.append(Group("", rows))
    return grid


def _glance(study: Study, blocks: list[Block], label: str, name: str) -> Entry:
    found = [v for b in blocks for v in b.variants if v.label == label]
    ran = [v for v in found if v.ok]
    if not found:
        return Entry(say("not run"), style="glance gap")
    if not ran:
        return Entry(outcome(found[0]), style="glance gap")
    if label == BASELINE:
        values = [e.mean for v in ran if (e := v.metric(name))]
        return Entry(_range(values, lambda x: rounding.metric(name, x)), style="glance")
    judged, style = _judged(study, ran, name)
    below = [
        f"{title} {_factors(study, ran, cost)}"
        for title, cost in ((say("WAN time"), "wan_s"), (say("traffic"), "bytes"))
        if any(study.factor(variant, cost) is not None for variant in ran)
    ]
    return Entry(judged, "\n".join(below), style=f"glance {style}")


def _judged(study: Study, variants: list[Variant], name: str) -> tuple[str, str]:
    """Phrase the differences to cleartext over data sets, and the colour that goes with it."""
    means, verdicts = [], []
    for variant in variants:
        found, judged = estimate(study.differences(variant, name)), study.judge(variant, name)
        if found and judged:
            means.append(found.mean)
            verdicts.append(judged)
    if not means:
        return say("no cleartext run"), ""
    if set(verdicts) == {"same"}:
        return say("same as cleartext"), "same"
    text = _range(means, partial(_signed, name))
    if "worse" in verdicts:
        return f"{text} {say('worse')}", "worse"
    if "better" in verdicts:
        return f"{text} {say('better')}", "better"
    return f"{text} {say('inconclusive' if 'inconclusive' in verdicts else '(1 seed)')}", ""


def _kept(study: Study, variants: list[tuple[Block, Variant]]) -> str:
    if variants[0][1].technique == BASELINE:
        return say("The baseline: what the same program gives without protection.")
    per_metric: dict[str, list[Variant]] = {}
    for block, variant in variants:
        shown = shown_metrics(blocks_of(study, block.task, block.program))
        per_metric.setdefault(shown[0], []).append(variant)
    parts = []
    for name, found in per_metric.items():
        tally = _tally(study, found, name)
        parts.append(say("{metric}: {tally}.", metric=words.metric(name).title, tally=tally))
    return paragraph(parts)


def _tally(study: Study, variants: list[Variant], name: str) -> str:
    """Count the verdicts: "same as cleartext in 3 of 4 comparisons, worse in 1 (-0.02)"."""
    judged: dict[str, list[float]] = {}
    for variant in variants:
        found, text = estimate(study.differences(variant, name)), study.judge(variant, name)
        if found and text:
            judged.setdefault(text, []).append(found.mean)
    total = sum(map(len, judged.values()))
    if not total:
        return say("no cleartext run to compare with")
    parts = []
    for text, means in sorted(judged.items(), key=lambda item: item[0] != "same"):
        where = "" if text == "same" else f" ({_range(means, partial(_signed, name))})"
        said = say(TALLIED.get(text, text)) + where
        if len(means) == total:
            return say("{verdict} in {n} of {n} comparisons", verdict=said, n=total)
        parts.append(say("{n} {verdict}", n=len(means), verdict=said))
    return say("of {n} comparisons, {parts}", n=total, parts=say(", ").join(parts))


def _signed(name: str, value: float) -> str:
    return rounding.metric(name, value, signed=True)


def _multiples(study: Study, variants: list[tuple[Block, Variant]]) -> str:
    if variants[0][1].technique == BASELINE:
        return say("1 by definition.")
    found = [variant for _, variant in variants]
    parts = [
        say(
            "{cost} {factor} ({source})",
            cost=words.cost(name).title,
            factor=_factors(study, found, name),
            source=study.source(name),
        )
        for name in COMPARED
        if any(study.factor(variant, name) is not None for variant in found)
    ]
    return (
        say("{parts}.", parts=say("; ").join(parts))
        if parts
        else say("No cleartext run to compare with.")
    )


def _exposed(variants: list[tuple[Block, Variant]]) -> str:
    texts = dict.fromkeys(
        result.guarantee.not_protected
        for _, variant in variants
        for result in variant.ok
        if result.guarantee
    )
    return paragraph(map(sentences, texts)) or say("Not stated.")


def _factors(study: Study, variants: Iterable[Variant], cost: str) -> str:
    found = [f for v in variants if (f := study.factor(v, cost)) is not None]
    return f"{_range(found, rounding.multiple)}\u00a0×" if found else rounding.ABSENT


def _range(values: list[float], show: Callable[[float], str]) -> str:
    texts = list(dict.fromkeys(show(value) for value in (min(values), max(values))))
    return say("{a} to {b}", a=texts[0], b=texts[-1]) if len(texts) > 1 else texts[0]


def _ran(study: Study, label: str) -> bool:
    return any(v.label == label for b in study.blocks for v in b.variants)
