"""What was asked and what came out, in sentences that are made from the numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from petlab.report import rounding, words
from petlab.report.accuracy import blocks_of, outcome, shown_metrics
from petlab.report.grid import Column, Entry, Grid, Group, head
from petlab.report.interval import estimate, verdict
from petlab.report.study import BASELINE, Block, Study, Variant, data_title, task_title
from petlab.result import Status

SHORT_RUN_S = 0.02
"""Below this a cleartext run is mostly fixed overhead."""


@dataclass(frozen=True)
class Lesson:
    """What one technique kept, cost and left exposed."""

    label: str
    kept: str
    cost: str
    exposed: str


def asked(study: Study) -> list[str]:
    """Say what was compared, on which data."""
    cells = [result.cell for result in study.results]
    tasks = dict.fromkeys(task_title(cell.task) for cell in cells)
    data = dict.fromkeys(data_title(cell) for cell in cells)
    techniques = dict.fromkeys(cell.technique for cell in cells)
    seeds = sorted({cell.seed for cell in cells})
    repeats = f"with seeds {_list(map(str, seeds))}" if len(seeds) > 1 else f"with seed {seeds[0]}"
    return [
        f"Which privacy-enhancing technique suits which analysis? Compared here: "
        f"{_list(techniques)}, on {_list(tasks)}.",
        f"Data: {_list(data)}. Every technique got the same records and the same split, {repeats}.",
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


def glance_grid(study: Study) -> Grid:
    """Make the table that stands first: per program and technique, accuracy kept and cost."""
    labels = [label for label in study.labels if _ran(study, label)]
    columns = [Column("Task and program", "main metric", style="text")]
    columns += [Column(label, style="glance") for label in labels]
    grid = Grid("At a glance: the main metric, and the cost against cleartext", columns)
    grid.style = "glance"
    rows = []
    for task, program in study.programs:
        blocks = blocks_of(study, task, program)
        metrics = shown_metrics(blocks)
        if metrics:
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
    below = f"{_factors(study, ran, 'wan_s')} WAN time, {_factors(study, ran, 'bytes')} traffic"
    return Entry(judged, below, style=f"glance {style}")


def _judged(study: Study, variants: list[Variant], name: str) -> tuple[str, str]:
    """Phrase the differences to cleartext over data sets, and the colour that goes with it."""
    means, verdicts = [], []
    for variant in variants:
        values = study.differences(variant, name)
        found = estimate(values)
        if found is None:
            continue
        better = next(r.quality[name].better for r in variant.ok if name in r.quality)
        means.append(found.mean)
        verdicts.append(verdict(values, better))
    if not means:
        return "no cleartext run", ""
    if set(verdicts) == {"same"}:
        return "same as cleartext", "same"
    text = _range(means, lambda x: rounding.metric(name, x, signed=True))
    if "worse" in verdicts:
        return f"{text} worse", "worse"
    if "better" in verdicts:
        return f"{text} better", "better"
    return f"{text} {'noise' if 'noise' in verdicts else '1 seed'}", ""


def _kept(study: Study, variants: list[tuple[Block, Variant]]) -> str:
    if variants[0][1].technique == BASELINE:
        return "The baseline: what the same program gives without protection."
    per_metric: dict[str, list[Variant]] = {}
    for block, variant in variants:
        shown = shown_metrics(blocks_of(study, block.task, block.program))
        per_metric.setdefault(shown[0], []).append(variant)
    parts = []
    for name, found in per_metric.items():
        text, _ = _judged(study, found, name)
        title = words.metric(name).title
        parts.append(f"{title}: {text} ({_count(len(found))})")
    return "; ".join(parts) + "."


def _multiples(study: Study, variants: list[tuple[Block, Variant]]) -> str:
    if variants[0][1].technique == BASELINE:
        return "1 by definition."
    found = [variant for _, variant in variants]
    return (
        f"Wall time {_factors(study, found, 'wall_s')}, traffic {_factors(study, found, 'bytes')}"
        f" (measured); WAN time {_factors(study, found, 'wan_s')} (modelled)."
    )


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
    return _range(found, rounding.factor) if found else rounding.ABSENT


def _range(values: list[float], show: object) -> str:
    assert callable(show)
    texts = list(dict.fromkeys(show(value) for value in (min(values), max(values))))
    return " to ".join(texts)


def _ran(study: Study, label: str) -> bool:
    return any(v.label == label for b in study.blocks for v in b.variants)


def _count(number: int) -> str:
    return f"{number} comparison{'s' if number > 1 else ''}"


def _list(items: Iterable[str]) -> str:
    found = list(items)
    if len(found) < 2:
        return "".join(found)
    return f"{', '.join(found[:-1])} and {found[-1]}"


def status_total(study: Study, *statuses: Status) -> int:
    """Count the results that ended in one of these ways."""
    return sum(result.status in statuses for result in study.results)
