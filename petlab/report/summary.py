"""What was asked and what came out, in sentences that are made from the numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from petlab.report import rounding, words
from petlab.report.accuracy import blocks_of, outcome, shown_metrics
from petlab.report.costs import COMPARED
from petlab.report.grid import Column, Entry, Grid, Group, head
from petlab.report.interval import estimate
from petlab.report.study import (
    BASELINE,
    Block,
    Study,
    Variant,
    data_title,
    task_title,
    technique_title,
)

SHORT_RUN_S = 0.02
"""Below this a cleartext run is mostly fixed overhead."""


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
    tasks = dict.fromkeys(_mid_sentence(task_title(cell.task)) for cell in cells)
    data = dict.fromkeys(data_title(cell) for cell in cells)
    techniques = dict.fromkeys(
        f"{_mid_sentence(technique_title(cell.technique))} [{cell.technique}]" for cell in cells
    )
    seeds = sorted({cell.seed for cell in cells})
    repeats = f"with seeds {_list(map(str, seeds))}" if len(seeds) > 1 else f"with seed {seeds[0]}"
    return [
        f"Which privacy-enhancing technique suits which analysis? Compared here: "
        f"{_list(techniques)}. Analyses: {_list(tasks)}.",
        f"Data: {'; '.join(data)}. For one data set and seed, every technique got the same records "
        f"and the same split. Run {repeats}.",
    ]


def outcome_counts(study: Study) -> list[tuple[str, int, str]]:
    """Title, number and meaning of each status that occurs."""
    counted = Counter(result.status for result in study.results)
    return [
        (term.title, counted[status], term.meaning)
        for status, term in words.STATUSES.items()
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
            f"{len(short)} of {len(times)} runs took less than {rounding.seconds(SHORT_RUN_S)}: "
            "multiples of so short a time say little, and more about fixed overhead than about "
            "larger data."
        )
    if len({result.cell.seed for result in study.results}) == 1:
        found.append("One seed: nothing here tells a small difference from chance.")
    else:
        found.append(
            "Intervals are over seeds: they show what splits, initial models and noise do, not "
            "what another population would."
        )
    return found


def glance_grids(study: Study) -> list[Grid]:
    """Make the tables that stand first: per program and technique, accuracy kept and cost."""
    labels = [label for label in study.labels if _ran(study, label)]
    single = [label for label in labels if "+" not in label]
    composed = [label for label in labels if "+" in label]
    title = "At a glance: the main metric, and the cost against cleartext"
    grids = [_glance_grid(study, single, title)]
    if composed:
        grids.append(_glance_grid(study, composed, "Compositions at a glance"))
    return grids


def _glance_grid(study: Study, labels: list[str], title: str) -> Grid:
    columns = [Column("Task and program", "main metric", style="text", width="17%")]
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
        return Entry("not run", style="glance gap")
    if not ran:
        return Entry(outcome(found[0]), style="glance gap")
    if label == BASELINE:
        values = [e.mean for v in ran if (e := v.metric(name))]
        return Entry(_range(values, lambda x: rounding.metric(name, x)), style="glance")
    judged, style = _judged(study, ran, name)
    below = [
        f"{title} {_factors(study, ran, cost)}"
        for title, cost in (("WAN time", "wan_s"), ("traffic", "bytes"))
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
        return "no cleartext run", ""
    if set(verdicts) == {"same"}:
        return "same as cleartext", "same"
    text = _range(means, partial(_signed, name))
    if "worse" in verdicts:
        return f"{text} worse", "worse"
    if "better" in verdicts:
        return f"{text} better", "better"
    return f"{text} {'inconclusive' if 'inconclusive' in verdicts else '(1 seed)'}", ""


def _kept(study: Study, variants: list[tuple[Block, Variant]]) -> str:
    if variants[0][1].technique == BASELINE:
        return "The baseline: what the same program gives without protection."
    per_metric: dict[str, list[Variant]] = {}
    for block, variant in variants:
        shown = shown_metrics(blocks_of(study, block.task, block.program))
        per_metric.setdefault(shown[0], []).append(variant)
    parts = []
    for name, found in per_metric.items():
        parts.append(f"{words.metric(name).title}: {_tally(study, found, name)}.")
    return " ".join(parts)


def _tally(study: Study, variants: list[Variant], name: str) -> str:
    """Count the verdicts: "same as cleartext in 3 of 4 comparisons, worse in 1 (-0.02)"."""
    judged: dict[str, list[float]] = {}
    for variant in variants:
        found, text = estimate(study.differences(variant, name)), study.judge(variant, name)
        if found and text:
            judged.setdefault(text, []).append(found.mean)
    total = sum(map(len, judged.values()))
    if not total:
        return "no cleartext run to compare with"
    parts = []
    for text, means in sorted(judged.items(), key=lambda item: item[0] != "same"):
        where = "" if text == "same" else f" ({_range(means, partial(_signed, name))})"
        said = {"same": "the same as cleartext", "1 seed": "different on one seed"}.get(text, text)
        if len(means) == total:
            return f"{said} in {total} of {total} comparisons{where}"
        parts.append(f"{len(means)} {said}{where}")
    return f"of {total} comparisons, {', '.join(parts)}"


def _signed(name: str, value: float) -> str:
    return rounding.metric(name, value, signed=True)


def _multiples(study: Study, variants: list[tuple[Block, Variant]]) -> str:
    if variants[0][1].technique == BASELINE:
        return "1 by definition."
    found = [variant for _, variant in variants]
    parts = [
        f"{words.cost(name).title} {_factors(study, found, name)} ({study.source(name)})"
        for name in COMPARED
        if any(study.factor(variant, name) is not None for variant in found)
    ]
    return f"{'; '.join(parts)}." if parts else "No cleartext run to compare with."


def _exposed(variants: list[tuple[Block, Variant]]) -> str:
    texts = dict.fromkeys(
        result.guarantee.not_protected
        for _, variant in variants
        for result in variant.ok
        if result.guarantee
    )
    return " ".join(texts) or "Not stated."


def _factors(study: Study, variants: Iterable[Variant], cost: str) -> str:
    found = [f for v in variants if (f := study.factor(v, cost)) is not None]
    return f"{_range(found, rounding.multiple)}\u00a0×" if found else rounding.ABSENT


def _range(values: list[float], show: Callable[[float], str]) -> str:
    texts = list(dict.fromkeys(show(value) for value in (min(values), max(values))))
    return " to ".join(texts)


def _ran(study: Study, label: str) -> bool:
    return any(v.label == label for b in study.blocks for v in b.variants)


def _list(items: Iterable[str]) -> str:
    found = list(items)
    if len(found) < 2:
        return "".join(found)
    return f"{', '.join(found[:-1])} and {found[-1]}"


def _mid_sentence(title: str) -> str:
    """Lower the first letter, unless it starts an abbreviation."""
    return title[:1].lower() + title[1:] if title[1:2].islower() else title
