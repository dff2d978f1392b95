"""Accuracy against cost, as inline SVG: readable without colour and without a network."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from petlab.study import rounding, words
from petlab.study.blocks import Block, Study, Variant, blocks_of, direction, shown_metrics
from petlab.study.epsilon import Curve, figure
from petlab.study.interval import Estimate, estimate
from petlab.study.language import say
from petlab.study.svg import Drawing, drawing

# Okabe and Ito's colours, apart also for colour-blind readers; the shape says the same.
STYLES = (
    ("#000000", "o"),
    ("#0072B2", "s"),
    ("#007A5A", "^"),
    ("#C04A00", "D"),
    ("#A0527F", "P"),
    ("#5C4B00", "v"),
    ("#1B6F93", "X"),
    ("#6B6B6B", "*"),
)
FILLS = ("full", "none", "left", "top", "right", "bottom")
PREFERRED = ("auc", "accuracy", "statistic_rel_error")
COST = "wan_s"
PANELS_ACROSS = 3
SMALLEST_RANGE = 0.02
ACROSS = "{cost} ({source}; unit at each mark, logarithmic)"
UP = "{metric} minus reference (no unit)"
ERROR = "{metric} (no unit)"
PANEL_INCHES = (3.6, 2.7)


def accuracy_against_cost(study: Study) -> Drawing | None:
    """Draw one panel per program; None when nothing can be drawn."""
    panels = [(key, blocks) for key in study.programs if (blocks := _drawable(study, *key))]
    if not panels:
        return None
    names = say(", ").join(f"{task} / {program}" for (task, program), _ in panels)
    text = say(
        "One panel for each of {panels}. Across: time over a WAN, logarithmic. Up: the main "
        "metric's distance from the independent reference. The accuracy and cost tables hold "
        "the same numbers.",
        panels=names,
    )
    return drawing(panels, partial(_figure, study), ("accuracy-against-cost", text))


def accuracy_against_epsilon(found: Sequence[Curve]) -> Drawing | None:
    """Draw one panel per task and data set; None when no cell was run at two epsilons."""
    if not found:
        return None
    places = [f"{c.task} / {c.data} / {c.technique}" for c in found]
    panels = [
        [c for c in found if (c.task, c.data) == key]
        for key in dict.fromkeys((c.task, c.data) for c in found)
    ]
    return drawing(
        panels,
        lambda chosen: figure([curve for panel in chosen for curve in panel]),
        ("accuracy-against-epsilon", say(", ").join(places)),
    )


def _drawable(study: Study, task: str, program: str) -> list[Block]:
    """Blocks of a program, if at least one of its variants can be placed."""
    blocks = blocks_of(study, task, program)
    placed = (v for b in blocks for v in b.variants if v.cost(COST) and _gaps(v, _metric(blocks)))
    return blocks if any(placed) else []


def _gaps(variant: Variant, name: str) -> list[float]:
    """Distance of a metric from the reference's, seed by seed."""
    return [
        metric.value - metric.reference
        for result in variant.ok
        if (metric := result.quality.get(name))
        and metric.value is not None
        and metric.reference is not None
    ]


def _figure(study: Study, panels: Sequence[tuple[tuple[str, str], list[Block]]]) -> Any:
    from matplotlib.figure import Figure

    across = min(PANELS_ACROSS, len(panels))
    down = -(-len(panels) // across)
    width, height = PANEL_INCHES
    figure = Figure(figsize=(width * PANELS_ACROSS, height * down + 0.9), layout="constrained")
    spacing: Any = figure.get_layout_engine()
    spacing.set(h_pad=0.09, w_pad=0.06)
    data = list(dict.fromkeys(block.data for _, blocks in panels for block in blocks))
    for place, ((task, program), blocks) in enumerate(panels):
        axes = figure.add_subplot(down, across, place + 1)
        _panel(study, axes, blocks, data)
        axes.set_title(_plain(f"{task} / {program}"), fontsize=10, fontweight="bold", loc="left")
    figure.legend(
        handles=_legend(study, panels, data),
        loc="outside lower center",
        ncols=5,
        frameon=False,
        fontsize=9,
    )
    return figure


def _panel(study: Study, axes: Any, blocks: list[Block], data: list[str]) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

    name = _metric(blocks)
    for block in blocks:
        for variant in block.variants:
            _point(study, axes, variant, name, FILLS[data.index(block.data) % len(FILLS)])
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xlim(low / 1.4, high * 1.4)
    _ticks(axes)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: rounding.seconds(x)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    # Rounding alone must not look like a difference.
    if axes.dataLim.height < SMALLEST_RANGE:
        below = 0.1 if name.endswith("_error") else 0.5
        middle = (axes.dataLim.y0 + axes.dataLim.y1) / 2
        axes.set_ylim(middle - below * SMALLEST_RANGE, middle + (1 - below) * SMALLEST_RANGE)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.axhline(0, color="#777777", linewidth=0.8, zorder=0)
    higher = direction(blocks, name) == "higher"
    better = say("higher is better") if higher else say("lower is better")
    title = words.metric(name).title
    up = say(ERROR if name.endswith("_error") else UP, metric=title)
    axes.set_ylabel(f"{up}\n{better}", fontsize=8)
    across = say(ACROSS, cost=words.cost(COST).title, source=study.source(COST))
    axes.set_xlabel(across, fontsize=8)
    axes.grid(True, which="major", color="#e3e3e3", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _ticks(axes: Any) -> None:
    from matplotlib.ticker import FixedLocator

    low, high = axes.get_xlim()
    steps = [m * 10.0**e for e in range(-6, 8) for m in (1, 2, 5)]
    inside = [x for x in steps if low <= x <= high]
    while len(inside) > 5:
        inside = inside[::2]
    axes.xaxis.set_major_locator(FixedLocator(inside))
    axes.xaxis.set_minor_locator(FixedLocator([]))


def _point(study: Study, axes: Any, variant: Variant, name: str, fill: str) -> None:
    """One marker with its interval: mean cost, mean distance from the reference."""
    cost, height = variant.cost(COST), estimate(_gaps(variant, name))
    if cost is None or height is None or cost.mean <= 0:
        return
    colour, marker = _style(study, variant.label)
    axes.errorbar(
        cost.mean,
        height.mean,
        yerr=_bar(height, name),
        color=colour,
        marker=marker,
        **_filling(fill, colour),
        markersize=7,
        markeredgewidth=1.3,
        elinewidth=0.9,
        capsize=2.5,
        linestyle="none",
    )


def _bar(height: Estimate, name: str) -> list[list[float]] | None:
    """Interval below and above a point; an error cannot be negative."""
    if height.half is None:
        return None
    below = min(height.half, height.mean) if name.endswith("_error") else height.half
    return [[max(0.0, below)], [height.half]]


def _legend(study: Study, panels: Any, data: list[str]) -> list[Any]:
    from matplotlib.lines import Line2D

    drawn = {v.label for _, blocks in panels for b in blocks for v in b.variants if v.ok}
    marks: dict[str, Any] = {"linestyle": "none", "markersize": 7, "markeredgewidth": 1.3}
    handles = []
    for label in study.labels:
        if label in drawn:
            colour, marker = _style(study, label)
            handles.append(
                Line2D([], [], color=colour, marker=marker, label=_plain(label), **marks)
            )
    for place, name in enumerate(data if len(data) > 1 else []):
        fill = FILLS[place % len(FILLS)]
        handles.append(
            Line2D(
                [],
                [],
                color="#444444",
                marker="o",
                **_filling(fill, "#444444"),
                label=_plain(say("data: {name}", name=name)),
                **marks,
            )
        )
    return handles


def _filling(fill: str, colour: str) -> dict[str, Any]:
    """How a marker is filled: all, nothing (white, hiding what lies below) or one half."""
    if fill == "none":
        return {"markerfacecolor": "white"}
    return {"fillstyle": fill, "markerfacecolor": colour, "markerfacecoloralt": "white"}


def _plain(text: str) -> str:
    """Keep matplotlib from reading a dollar sign as mathematics."""
    return text.replace("$", r"\$")


def _style(study: Study, label: str) -> tuple[str, str]:
    place = study.labels.index(label)
    # From the ninth on, a colour comes with another shape than at first.
    shape = STYLES[(place + place // len(STYLES)) % len(STYLES)][1]
    return STYLES[place % len(STYLES)][0], shape


def _metric(blocks: list[Block]) -> str:
    shown = shown_metrics(blocks)
    return next((name for name in PREFERRED if name in shown), shown[0] if shown else "")
