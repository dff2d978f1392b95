"""Accuracy against epsilon: one curve per task, data set and technique."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from petlab.running.result import Result, Status
from petlab.study import words
from petlab.study.interval import Estimate, estimate
from petlab.study.language import paragraph, say

PREFERRED = ("auc", "accuracy", "p_value_abs_error")


@dataclass(frozen=True)
class Point:
    """Quality at one epsilon, over seeds."""

    epsilon: float
    delta: float
    quality: Estimate


@dataclass(frozen=True)
class Curve:
    """How quality depends on epsilon for one analysis.

    Attributes
    ----------
    points
        In rising order of epsilon.
    plain
        Quality of the cleartext runs on the same data and seeds, or None.
    clipped
        Quality of the twin that clips but adds no noise, or None.
    """

    task: str
    data: str
    technique: str
    metric: str
    better: str
    points: tuple[Point, ...]
    plain: Estimate | None
    clipped: Estimate | None

    @property
    def sentence(self) -> str:
        """What a reader who is no expert should take from the curve."""
        title = words.metric(self.metric).title
        strict, loose = self.points[0], self.points[-1]
        said = [
            say(
                "With epsilon {strict}, nobody can tell from the result whether one person was "
                "in the data with more than {sure} certainty (50 % is a coin toss), and {title} "
                "is {low}; with epsilon {loose} the limit is {unsure} and {title} is {high}.",
                strict=f"{strict.epsilon:.2g}",
                sure=_percent(strict),
                title=title,
                low=_shown(strict.quality),
                loose=f"{loose.epsilon:.2g}",
                unsure=_percent(loose),
                high=_shown(loose.quality),
            )
        ]
        if self.plain:
            plain = _shown(self.plain)
            said.append(say("Without differential privacy it is {value}.", value=plain))
        return paragraph(said)


def certainty(point: Point) -> float:
    """Bound the chance that a guess about one person's presence is right, prior 50 %.

    (e^epsilon + delta) / (1 + e^epsilon): hypothesis testing, Kairouz, Oh, Viswanath 2015.
    """
    odds = math.exp(min(point.epsilon, 50.0))
    return min(1.0, (odds + point.delta) / (1 + odds))


def curves(results: Sequence[Result]) -> list[Curve]:
    """Collect curves with at least two epsilons each."""
    ok = [result for result in results if result.status is Status.OK]
    keys = dict.fromkeys(
        _key(result) for result in ok if result.guarantee and result.guarantee.epsilon
    )
    return [curve for key in keys if (curve := _curve(key, ok))]


def figure(found: Sequence[Curve]) -> Any:
    """Draw one panel per task and data set; techniques differ in marker, line and colour."""
    from matplotlib.figure import Figure

    panels = list(dict.fromkeys((curve.task, curve.data) for curve in found))
    across = min(3, len(panels))
    down = -(-len(panels) // across)
    drawn = Figure(figsize=(3.9 * across, 3.0 * down), layout="constrained")
    for place, panel in enumerate(panels):
        axes = drawn.add_subplot(down, across, place + 1)
        mine = [curve for curve in found if (curve.task, curve.data) == panel]
        _draw(axes, mine)
        axes.set_title(f"{panel[0]}, {panel[1]}", fontsize=10, fontweight="bold", loc="left")
    return drawn


def rows(found: Sequence[Curve]) -> Iterator[dict[str, str]]:
    """List the points as a table."""
    for curve in found:
        for point in curve.points:
            yield {
                "task": curve.task,
                "data": curve.data,
                "technique": curve.technique,
                "epsilon (accounted)": f"{point.epsilon:.3g}",
                "certainty at most": _percent(point),
                words.metric(curve.metric).title: _shown(point.quality),
                "seeds": str(point.quality.count),
                "no noise": _shown(curve.clipped) if curve.clipped else "–",
                "cleartext": _shown(curve.plain) if curve.plain else "–",
            }


def _draw(axes: Any, found: Sequence[Curve]) -> None:
    from matplotlib.ticker import FuncFormatter, NullLocator

    looks = (("#0072B2", "o", "-"), ("#C04A00", "s", "--"), ("#007A5A", "^", ":"))
    for curve, (colour, marker, line) in zip(found, looks * len(found), strict=False):
        axes.errorbar(
            [point.epsilon for point in curve.points],
            [point.quality.mean for point in curve.points],
            yerr=list(zip(*(_bar(point, curve.metric) for point in curve.points), strict=True)),
            color=colour,
            marker=marker,
            linestyle=line,
            markersize=5,
            linewidth=1.2,
            capsize=2.5,
            label=curve.technique,
        )
    first = found[0]
    levels = (
        (first.plain, "-", say("no privacy")),
        (first.clipped, ":", say("clipped, no noise")),
    )
    for level, style, label in levels:
        if level:
            axes.axhline(level.mean, color="#444444", linestyle=style, linewidth=0.9, label=label)
    axes.set_xscale("log")
    axes.set_xticks(sorted({point.epsilon for curve in found for point in curve.points}))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.2g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    label = say("epsilon (accounted, no unit, logarithmic; smaller is more private)")
    axes.set_xlabel(label, fontsize=8)
    title = words.metric(first.metric).title
    better = say("higher is better") if first.better == "higher" else say("lower is better")
    interval = say("{metric}, mean and 95 % interval", metric=title)
    axes.set_ylabel(f"{interval}\n({better})", fontsize=8)
    axes.grid(True, color="#e3e3e3", linewidth=0.6)
    axes.legend(fontsize=8, frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _bar(point: Point, metric: str) -> tuple[float, float]:
    """Interval below and above a point, inside what the metric can be."""
    half, mean = point.quality.half or 0.0, point.quality.mean
    if metric.endswith("_error"):
        return min(half, max(mean, 0.0)), half
    return half, min(half, max(1.0 - mean, 0.0))


_Key = tuple[str, str, str, str]


def _key(result: Result) -> _Key:
    cell = result.cell
    return cell.task, cell.program, cell.dataset, cell.technique


def _curve(key: _Key, ok: Sequence[Result]) -> Curve | None:
    task, program, data, technique = key
    here = [r for r in ok if _key(r)[:3] == (task, program, data)]
    noisy = [r for r in here if r.cell.technique == technique and r.guarantee is not None]
    private = [r for r in noisy if r.guarantee and r.guarantee.epsilon is not None]
    metric = next((m for m in PREFERRED if m in private[0].quality), None)
    levels = sorted({_wanted(r) for r in private})
    if metric is None or len(levels) < 2:
        return None
    points = []
    for level in levels:
        at = [r for r in private if _wanted(r) == level]
        quality = _estimate(at, metric)
        guarantee = at[0].guarantee
        if quality and guarantee and guarantee.epsilon:
            points.append(Point(guarantee.epsilon, guarantee.delta or 0.0, quality))
    clipped = [r for r in noisy if r.cell.settings.get("twin") == "clip-only"]
    return Curve(
        task,
        data,
        technique,
        metric,
        private[0].quality[metric].better,
        tuple(points),
        _estimate([r for r in here if r.cell.technique == "cleartext"], metric),
        _estimate(clipped, metric),
    )


def _wanted(result: Result) -> float:
    """Epsilon rounded as a person would have asked for it."""
    assert result.guarantee and result.guarantee.epsilon
    return float(f"{result.guarantee.epsilon:.2g}")


def _estimate(results: Sequence[Result], metric: str) -> Estimate | None:
    return estimate(r.quality[metric].value for r in results if metric in r.quality)


def _percent(point: Point) -> str:
    share = certainty(point)
    return f"{share:.0%}" if share < 0.99 else f"{share:.2%}"


def _shown(value: Estimate) -> str:
    half = "" if value.half is None else f" ± {value.half:.3f}"
    return f"{value.mean:.3f}{half}"
