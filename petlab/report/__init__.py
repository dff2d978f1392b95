"""The report: one HTML page for people, CSV and Parquet for programs.

`write_report` is the only way in; pandas, matplotlib and jinja2 load when it is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from petlab.errors import UsageError
from petlab.result import Result

__all__ = ["write_report"]


def write_report(results: Sequence[Result], out: Path, *, command: str) -> Path:
    """Write `index.html`, `results.csv` and `results.parquet` into a folder.

    Parameters
    ----------
    results
        One per cell, in any order: several seeds, data sets, gaps and failures mixed.
    out
        Folder, made when it is not there; files of an earlier report are replaced.
    command
        What the reader types to get these results again; several lines are allowed.

    Returns
    -------
    Path
        The page. It is self-contained: it opens offline and refers to nothing outside.

    Raises
    ------
    UsageError
        There are no results.
    """
    if not results:
        raise UsageError(
            "there are no results to report. Run `petlab sweep notebooks/sweeps/smoke.yml` "
            "first, or point --results at a folder that holds some."
        )
    from petlab.report.flat import write_flat
    from petlab.report.page import render
    from petlab.report.study import Study

    study = Study(results)
    page = render(study, command=command)
    out.mkdir(parents=True, exist_ok=True)
    write_flat(study.results, out)
    index = out / "index.html"
    index.write_text(page, encoding="utf-8")
    return index
