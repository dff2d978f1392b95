"""Figures as SVG: letters for the page, outlines for paper, the same bytes every time."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from petlab.study.fonts import japanese_family
from petlab.study.language import say, spoken

PANELS_A_PAGE = 6


@dataclass(frozen=True)
class Drawing:
    """One plot, at most six panels a picture: inline SVG for the page, SVG files for print."""

    screen: str
    printed: tuple[str, ...]


def drawing(panels: Sequence[Any], draw: Callable[[Any], Any], named: tuple[str, str]) -> Drawing:
    """Draw panels, six a picture; `named` is the plot's key and what it shows in words."""
    screen, printed = [], []
    for at in range(0, len(panels), PANELS_A_PAGE):
        key = f"{named[0]}-{at // PANELS_A_PAGE + 1}"
        with _style_sheet(key, "none"):
            drawn = draw(panels[at : at + PANELS_A_PAGE])
            screen.append(_named(_svg(drawn), key, *named))
        # Where everything stands was found out once.
        drawn.set_layout_engine("none")
        with _style_sheet(key, "path"):
            printed.append(_svg(drawn))
    return Drawing("".join(screen), tuple(printed))


def _style_sheet(salt: str, text: str) -> Any:
    """Settings that make a figure repeatable; `text` is "none" (letters) or "path" (outlines)."""
    from matplotlib import rc_context

    families = ["DejaVu Sans", *(japanese_family() if spoken() == "ja" else ())]
    settings = {"svg.hashsalt": salt, "svg.fonttype": text, "font.size": 9}
    return rc_context({**settings, "font.family": families, "axes.unicode_minus": True})


def _svg(figure: Any) -> str:
    from io import StringIO

    from matplotlib.backends.backend_svg import FigureCanvasSVG

    stream = StringIO()
    absent = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    FigureCanvasSVG(figure).print_svg(stream, metadata=absent)
    return stream.getvalue()


def _named(svg: str, key: str, name: str, description: str) -> str:
    """Drop what only a file needs, and give screen readers a name and a description."""
    body = svg[svg.index("<svg") :]
    # Inside HTML neither namespace is needed, so that the page holds no address at all.
    body = re.sub(r' xmlns(:xlink)?="[^"]*"', "", body).replace("xlink:href", "href")
    body = re.sub(r' (width|height)="[0-9.]+pt"', "", body, count=2)
    # Every plot numbers its parts from one: the page needs names that differ.
    body = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{key}-", body)
    heading = f'<title id="{key}-title">{escape(say(name.replace("-", " ").capitalize()))}</title>'
    words_ = f'<desc id="{key}-text">{escape(description)}</desc>'
    opening = f'<svg role="img" aria-labelledby="{key}-title {key}-text" '
    return re.sub(
        r"<svg ([^>]*)>",
        lambda found: f"{opening}{found.group(1)}>{heading}{words_}",
        body,
        count=1,
    )
