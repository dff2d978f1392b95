"""Run the worked examples and write their pages: `python docs/examples/make.py [NAME ...]`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from page import Page, markdown, save_figure  # noqa: E402

NAMES = (
    *("differencing", "histogram", "composition", "noisy_chi2", "voting"),
    *("replicated", "side_channel", "gradient_inversion"),
)


def page_of(name: str) -> Page:
    """Run one example."""
    page: Page = importlib.import_module(name).page()
    return page


def index(pages: list[Page]) -> str:
    """Index of the pages."""
    lines = [f"- [{page.title}]({page.name}.md): {page.question}" for page in pages]
    return "\n".join(
        [
            "# Worked examples",
            "",
            "Short scripts whose pages hold the numbers that they computed. "
            "`python docs/examples/make.py` runs them all and rewrites the pages (about a minute); "
            "`tests/test_examples.py` checks that the pages are what the scripts write.",
            "",
            *lines,
            "",
        ]
    )


def main(names: list[str]) -> None:
    """Write the pages that are named, or all of them and the index."""
    pages = []
    for name in names or NAMES:
        page = page_of(name)
        (HERE / f"{name}.md").write_text(markdown(page), encoding="utf-8")
        if page.draw:
            save_figure(page, HERE / f"{name}.svg")
        print(f"{name}.md", file=sys.stderr)
        pages.append(page)
    if not names:
        (HERE / "README.md").write_text(index(pages), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
