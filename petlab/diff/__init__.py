"""Has anything got worse? Results of now beside results of before."""

from petlab.diff.baseline import read_side, write_baseline
from petlab.diff.change import CellDiff, Change, Verdict
from petlab.diff.comparison import compare_results
from petlab.diff.junit import write_junit
from petlab.diff.text import diff_text
from petlab.diff.tolerance import parse_tolerances

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
