"""Accuracy against cost, as inline SVG: readable without colour and without a network."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

from petlab.report import rounding, words
from petlab.report.accuracy import blocks_of, direction, shown_metrics
from petlab.report.epsilon import Curve, figure
from petlab.report.interval import Estimate, estimate
from petlab.report.study import Block, Study, Variant

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
PANEL_INCHES = (3.6, 2.7)


def accuracy_against_cost(study: Study) -> str | None:
    """Draw one panel per program; None when nothing can be drawn."""
    panels = [(key, blocks) for key in study.programs if (blocks := _drawable(study, *key))]
    if not panels:
        return None
    from matplotlib import rc_context

    with rc_context({"svg.hashsalt": "petlab", "svg.fonttype": "none", "font.size": 9}):
        return _named(_svg(_figure(study, panels)), _describe(panels))


def accuracy_against_epsilon(found: Sequence[Curve]) -> str | None:
    """Draw one panel per task and data set; None when no cell was run at two epsilons."""
    if not found:
        return None
    from matplotlib import rc_context

    with rc_context({"svg.hashsalt": "petlab-epsilon", "svg.fonttype": "none", "font.size": 9}):
        text = "; ".join(f"{c.task} on {c.data} under {c.technique}" for c in found)
        return _named(_svg(figure(found)), text, "Accuracy against epsilon")


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
            _point(study, axes, block, variant, name, FILLS[data.index(block.data) % len(FILLS)])
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
    better = "higher" if direction(blocks, name) == "higher" else "lower"
    title = words.metric(name).title
    own = name.endswith("_error")
    axes.set_ylabel(f"{title}\n{'' if own else 'minus reference, '}{better} is better", fontsize=8)
    axes.set_xlabel(f"{words.cost(COST).title} ({study.source(COST)}, logarithmic)", fontsize=8)
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


def _point(study: Study, axes: Any, block: Block, variant: Variant, name: str, fill: str) -> None:
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
                label=_plain(f"data: {name}"),
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
    return STYLES[study.labels.index(label) % len(STYLES)]


def _metric(blocks: list[Block]) -> str:
    shown = shown_metrics(blocks)
    return next((name for name in PREFERRED if name in shown), shown[0] if shown else "")


def _svg(figure: Any) -> str:
    from io import StringIO

    from matplotlib.backends.backend_svg import FigureCanvasSVG

    stream = StringIO()
    absent = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    FigureCanvasSVG(figure).print_svg(stream, metadata=absent)
    return stream.getvalue()


def _named(svg: str, description: str, title: str = "Accuracy against cost") -> str:
    """Drop what only a file needs, and give screen readers a name and a description."""
    body = svg[svg.index("<svg") :]
    # Inside HTML neither namespace is needed, so that the page holds no address at all.
    body = re.sub(r' xmlns(:xlink)?="[^"]*"', "", body).replace("xlink:href", "href")
    body = re.sub(r' (width|height)="[0-9.]+pt"', "", body, count=2)
    key = title.lower().replace(" ", "-")
    heading = f'<title id="{key}-title">{escape(title)}</title>'
    words_ = f'<desc id="{key}-text">{escape(description)}</desc>'
    opening = f'<svg role="img" aria-labelledby="{key}-title {key}-text" '
    return re.sub(
        r"<svg ([^>]*)>",
        lambda found: f"{opening}{found.group(1)}>{heading}{words_}",
        body,
        count=1,
    )


def _describe(panels: Sequence[tuple[tuple[str, str], list[Block]]]) -> str:
    names = ", ".join(f"{task} {program}" for (task, program), _ in panels)
    return (
        f"One panel for each of {names}. Across: time over a WAN, logarithmic. Up: the "
        "main metric's distance from the independent reference. The accuracy and cost tables "
        "hold the same numbers."
    )
