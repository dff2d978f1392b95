"""What every example page consists of, and how it is written down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

NOISE = (
    "Its noise comes from petlab's own stream under a fixed `insecure_seed`, so that the page can "
    "be checked; real noise is never repeatable."
)


@dataclass(frozen=True)
class Page:
    """One example.

    Attributes
    ----------
    question
        What it answers.
    sentence
        The one sentence that a non-expert needs.
    body
        Markdown with the computed numbers in it.
    draw
        Draws the figure on matplotlib axes, or None.
    footnote
        Where its random numbers come from.
    """

    name: str
    title: str
    question: str
    sentence: str
    body: str
    draw: Callable[[Any], None] | None = None
    footnote: str = NOISE


def markdown(page: Page) -> str:
    """Write a page out."""
    figure = f"\n![{page.title}]({page.name}.svg)\n" if page.draw else ""
    return f"""# {page.title}

**Question.** {page.question}

**In one sentence.** {page.sentence}

{page.body.strip()}
{figure}
---
Every number on this page was computed by [`{page.name}.py`]({page.name}.py) with \
`python docs/examples/make.py {page.name}`. {page.footnote}
"""


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Markdown table, numbers to the right."""
    aligned = ["---"] + ["---:"] * (len(header) - 1)
    lines = [header, aligned, *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def percent(share: float, digits: int = 0) -> str:
    """A share as people read it."""
    return f"{100 * share:.{digits}f} %"


def save_figure(page: Page, path: Any) -> None:
    """Draw a page's figure as an SVG that two runs write alike."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    with pyplot.rc_context({"svg.hashsalt": page.name, "font.size": 9}):
        figure, axes = pyplot.subplots(figsize=(5.6, 2.8), layout="constrained")
        assert page.draw is not None
        page.draw(axes)
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)
