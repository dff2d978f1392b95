"""Has anything got worse? Results of now beside results of before."""

from petlab.deciding.diff.baseline import read_side, write_baseline
from petlab.deciding.diff.change import CellDiff, Change, Verdict
from petlab.deciding.diff.comparison import compare_results
from petlab.deciding.diff.junit import write_junit
from petlab.deciding.diff.text import diff_text
from petlab.deciding.diff.tolerance import parse_tolerances

__all__ = [
    "CellDiff",
    "Change",
    "Verdict",
    "compare_results",
    "diff_text",
    "parse_tolerances",
    "read_side",
    "write_baseline",
    "write_junit",
]
