"""The report as one HTML page that refers to nothing outside."""

from __future__ import annotations

from pathlib import Path

from petlab.report.document import Document
from petlab.study.language import say

FOLDER = Path(__file__).parent


def render(document: Document, *, has_pdf: bool) -> str:
    """Return the page as HTML; `has_pdf` says whether report.pdf lies beside it."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["kind"] = lambda part: type(part).__name__
    return environment.get_template("page.html.j2").render(
        document=document,
        style=Markup((FOLDER / "style.css").read_text(encoding="utf-8")),
        say=say,
        raw=Markup,
        has_pdf=has_pdf,
    )
