"""The results as the report reads them: blocks of variants, paired with cleartext."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from petlab.core.settings import Setting, describe_settings
from petlab.errors import PetlabError
from petlab.running.registry import setting_owners, tasks, technique_names
from petlab.running.result import Cell, Result, Status
from petlab.study import words
from petlab.study.interval import NEGLIGIBLE, Estimate, estimate, verdict
from petlab.study.language import say
from petlab.study.titles import data_name

BASELINE = "cleartext"


@dataclass(frozen=True)
class Variant:
    """One technique with one choice of settings on one task, program and data set."""

    label: str
    technique: str
    results: tuple[Result, ...]

    @property
    def ok(self) -> list[Result]:
        """Results that have numbers."""
        return [result for result in self.results if result.status is Status.OK]

    def metric(self, name: str) -> Estimate | None:
        """Mean of a metric over seeds."""
        found = (result.quality.get(name) for result in self.ok)
        return estimate(metric.value for metric in found if metric)

    def cost(self, name: str) -> Estimate | None:
        """Mean of a cost over seeds."""
        found = (result.costs.get(name) for result in self.ok)
        return estimate(cost.value for cost in found if cost)


@dataclass
class Block:
    """Variants that answer one question on one data set and share its reference."""

    task: str
    program: str
    data: str
    variants: list[Variant] = field(default_factory=list)
    references: dict[tuple[int, str], float | None] = field(default_factory=dict)

    def takes(self, variant: Variant) -> bool:
        """Whether the variant was held against the same reference values."""
        own = _references(variant)
        return all(self.references.get(key, value) == value for key, value in own.items())

    def add(self, variant: Variant) -> None:
        """Take a variant in."""
        self.variants.append(variant)
        self.references |= _references(variant)

    def reference(self, name: str) -> Estimate | None:
        """Mean of the reference's metric over seeds."""
        return estimate(v for (_, metric), v in self.references.items() if metric == name)


class Study:
    """Everything that was run, ordered and paired.

    Parameters
    ----------
    results
        In any order. Of two results of one cell the later one counts.
    """

    def __init__(self, results: Sequence[Result]) -> None:
        latest = {result.cell.digest: result for result in results}
        self.results = sorted(latest.values(), key=_order)
        self.blocks = list(self._blocks())

    @property
    def ok(self) -> list[Result]:
        """Results that have numbers."""
        return [result for result in self.results if result.status is Status.OK]

    @property
    def programs(self) -> list[tuple[str, str]]:
        """Task and program, each once, in order."""
        return list(dict.fromkeys((r.cell.task, r.cell.program) for r in self.results))

    @property
    def labels(self) -> list[str]:
        """Labels of all variants, each once, in order of technique."""
        found = {v.label: v.technique for block in self.blocks for v in block.variants}
        return sorted(found, key=lambda label: (_rank(found[label]), label))

    def source(self, cost: str) -> str:
        """Where a cost's numbers come from: "measured", "modelled", or both."""
        found = {r.costs[cost].source for r in self.ok if cost in r.costs}
        first, *more = [say(name) for name in sorted(found)] or [""]
        return say("{a} or {b}", a=first, b=more[0]) if more else first

    def common(self, task: str, program: str, technique: str) -> dict[str, Setting]:
        """Settings that a program's cells under a technique all share."""
        key = (task, program, technique)
        cells = [
            r.cell for r in self.results if (r.cell.task, r.cell.program, r.cell.technique) == key
        ]
        first = cells[0].settings if cells else {}
        return {
            name: value
            for name, value in first.items()
            if all(name in c.settings and c.settings[name] == value for c in cells)
        }

    def partner(self, result: Result) -> Result | None:
        """Cleartext result on the same data and seed, with the settings most alike."""
        cell = result.cell
        rivals = [
            other
            for other in self.ok
            if other.cell.technique == BASELINE
            and (other.cell.task, other.cell.program, other.cell.seed)
            == (cell.task, cell.program, cell.seed)
            and (data_name(other.cell), other.cell.data, other.cell.card)
            == (data_name(cell), cell.data, cell.card)
        ]
        return min(
            rivals,
            key=lambda other: (
                len(self.departures(result, other)),
                other.cell.parties != cell.parties,
                other.cell.partition != cell.partition,
            ),
            default=None,
        )

    def departures(self, result: Result, partner: Result) -> list[str]:
        """Task settings in which a cell and its cleartext partner differ."""
        left, right = _task_settings(result.cell), _task_settings(partner.cell)
        return sorted(n for n in {*left, *right} if left.get(n) != right.get(n))

    def differences(self, variant: Variant, metric: str) -> list[float]:
        """Metric minus the cleartext partner's, seed by seed."""
        found = []
        for result in variant.ok:
            partner = self.partner(result)
            ours = result.quality.get(metric)
            theirs = partner.quality.get(metric) if partner else None
            if ours and theirs and ours.value is not None and theirs.value is not None:
                found.append(ours.value - theirs.value)
        return found

    def exact(self, variant: Variant, metric: str) -> bool:
        """Whether cleartext's error is nil, so that any error at all is a loss."""
        found = [
            p.quality[metric]
            for result in variant.ok
            if (p := self.partner(result)) and metric in p.quality
        ]
        return bool(found) and all(
            m.better == "lower" and m.value is not None and abs(m.value) < NEGLIGIBLE for m in found
        )

    def judge(self, variant: Variant, metric: str) -> str | None:
        """Say what the differences to cleartext amount to; None without any."""
        values = self.differences(variant, metric)
        if not values:
            return None
        better = next(r.quality[metric].better for r in variant.ok if metric in r.quality)
        return verdict(values, better, exact=self.exact(variant, metric))

    def factor(self, variant: Variant, cost: str) -> float | None:
        """Cost as a multiple of the cleartext partners', sums over the same seeds."""
        pairs = [(result, self.partner(result)) for result in variant.ok]
        values = [(_cost(ours, cost), _cost(theirs, cost)) for ours, theirs in pairs if theirs]
        known = [(a, b) for a, b in values if a is not None and b is not None]
        below = sum(b for _, b in known)
        return sum(a for a, _ in known) / below if below else None

    def _blocks(self) -> Iterable[Block]:
        found: dict[tuple[str, str, str], dict[str, list[Result]]] = {}
        for result in self.results:
            cell = result.cell
            key = (cell.task, cell.program, data_name(cell))
            found.setdefault(key, {}).setdefault(self.label(result), []).append(result)
        for (task, program, data), variants in found.items():
            blocks: list[Block] = []
            for label, results in variants.items():
                variant = Variant(label, results[0].cell.technique, tuple(results))
                home = next((block for block in blocks if block.takes(variant)), None)
                if home is None:
                    home = Block(task, program, data)
                    blocks.append(home)
                home.add(variant)
            yield from blocks

    def label(self, result: Result) -> str:
        """Technique, and what sets the cell apart from its others of this program."""
        cell = result.cell
        common = self.common(cell.task, cell.program, cell.technique)
        marks = [
            value if isinstance(value, str) else f"{name} {value}"
            for name, value in cell.settings.items()
            if name not in common
        ]
        peers = [
            r.cell
            for r in self.results
            if (r.cell.task, r.cell.program, r.cell.technique)
            == (cell.task, cell.program, cell.technique)
        ]
        if len({peer.parties for peer in peers}) > 1 and cell.parties is not None:
            marks.append(say("{n} owners", n=cell.parties))
        if len({peer.partition for peer in peers}) > 1:
            marks.append(cell.partition)
        return f"{cell.technique} ({', '.join(marks)})" if marks else cell.technique


def _order(result: Result) -> tuple[object, ...]:
    cell = result.cell
    known = list(tasks())
    place = known.index(cell.task) if cell.task in known else len(known)
    return (
        place,
        cell.task,
        cell.program != "sums",
        cell.program,
        data_name(cell),
        _rank(cell.technique),
        [f"{name} {value}" for name, value in cell.settings.items()],
        str(cell.parties),
        cell.partition,
        cell.seed,
    )


def _rank(technique: str) -> int:
    known = technique_names()
    return known.index(technique) if technique in known else len(known)


def _references(variant: Variant) -> dict[tuple[int, str], float | None]:
    return {
        (result.cell.seed, name): metric.reference
        for result in variant.ok
        for name, metric in result.quality.items()
    }


def _task_settings(cell: Cell) -> Mapping[str, Setting]:
    try:
        owners = setting_owners(cell.technique)
    except PetlabError:
        return cell.settings
    technical = {field.name for owner in owners for field in describe_settings(owner)}
    return {name: value for name, value in cell.settings.items() if name not in technical}


def _cost(result: Result, name: str) -> float | None:
    found = result.costs.get(name)
    return found.value if found else None


def blocks_of(study: Study, task: str, program: str) -> list[Block]:
    """Return the blocks of a program, one per data set as a rule."""
    return [b for b in study.blocks if (b.task, b.program) == (task, program)]


def shown_metrics(blocks: list[Block]) -> list[str]:
    """Metrics that a table of these blocks shows, most telling first."""
    return words.telling(
        {name for b in blocks for v in b.variants for result in v.ok for name in result.quality}
    )


def direction(blocks: list[Block], name: str) -> str:
    """Which way a metric is better: "higher" or "lower"."""
    found = (r.quality[name] for b in blocks for v in b.variants for r in v.ok if name in r.quality)
    return next((metric.better for metric in found), "higher")
