"""The report: HTML and PDF for people, CSV and Parquet for programs, in English or Japanese.

`write_report` is the only way in; pandas, matplotlib, jinja2 and typst load when it is called.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from petlab.errors import MissingPackage, UsageError
from petlab.running.result import Result

if TYPE_CHECKING:
    from petlab.deciding import Decision, Prices, Requirement
    from petlab.study.blocks import Study

__all__ = ["Written", "write_report"]


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes
    ----------
    page
        index.html.
    pdf
        report.pdf, or None when a package that it needs is missing.
    missing
        What is missing and how to install it; empty when there is a PDF.
    """

    page: Path
    pdf: Path | None
    missing: str = ""


def write_report(
    results: Sequence[Result],
    out: Path,
    *,
    command: str,
    language: str = "en",
    requirements: Iterable[Requirement] = (),
    prefer: str = "wan_s",
    prices: Prices | None = None,
) -> Written:
    """Write `index.html`, `report.pdf`, `results.csv` and `results.parquet` into a folder.

    Parameters
    ----------
    results
        One per cell, in any order: several seeds, data sets, gaps and failures mixed.
    out
        Folder, made when it is not there; files of an earlier report are replaced.
    command
        What the reader types to get these results again; several lines are allowed.
    language
        "en" or "ja".
    requirements, prefer, prices
        Constraints, what the recommendation has least of, and money: as for `decide`.

    Returns
    -------
    Written
        The page is self-contained: it opens offline and refers to nothing outside.

    Raises
    ------
    UsageError
        There are no results, or there is no such language or cost.
    """
    # A release has nothing to compare: it stands by itself.
    results = [result for result in results if not result.cell.release]
    if not results:
        raise UsageError(
            "there are no results to report. Run `petlab sweep notebooks/sweeps/smoke.yml` "
            "first, or point --results at a folder that holds some."
        )
    from petlab.report.flat import write_flat
    from petlab.report.html import render
    from petlab.report.pdf import write_pdf
    from petlab.report.sections import assemble
    from petlab.study.blocks import Study
    from petlab.study.language import speaking

    with speaking(language):
        study = Study(results)
        chosen = _decision(study, requirements, prefer, prices)
        document = assemble(study, chosen, prices=prices, command=command)
        out.mkdir(parents=True, exist_ok=True)
        write_flat(study.results, out)
        pdf, missing = out / "report.pdf", ""
        pdf.unlink(missing_ok=True)
        try:
            write_pdf(document, pdf)
        except MissingPackage as error:
            missing = str(error)
        index = out / "index.html"
        index.write_text(render(document, has_pdf=not missing), encoding="utf-8")
    return Written(index, None if missing else pdf, missing)


def _decision(
    study: Study, requirements: Iterable[Requirement], prefer: str, prices: Prices | None
) -> Decision:
    from petlab.deciding import decide
    from petlab.running.registry import tasks

    known = tasks()
    # Results of a task that is gone are shown, but nothing can be decided from them.
    there = [
        r
        for r in study.results
        if r.cell.task in known and r.cell.program in known[r.cell.task].programs
    ]
    return decide(there, requirements, prefer=prefer, prices=prices)
