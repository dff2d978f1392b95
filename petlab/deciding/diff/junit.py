"""A comparison as JUnit XML, which GitHub's and Jenkins' test reports read.

References
----------
.. [1] https://github.com/testmoapp/junitxml (what producers write and consumers read)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from petlab.deciding.diff.change import CellDiff, Verdict
from petlab.deciding.diff.text import change_text, label

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(diffs: Sequence[CellDiff], path: Path) -> None:
    """Write one test case for each cell; a regression is its failure, a new cell is skipped."""
    failures = sum(diff.verdict.is_regression for diff in diffs)
    skipped = sum(diff.verdict is Verdict.NEW for diff in diffs)
    totals = {
        "name": "petlab diff",
        "tests": str(len(diffs)),
        "failures": str(failures),
        "errors": "0",
        "skipped": str(skipped),
        "time": f"{sum(diff.seconds for diff in diffs):.3f}",
    }
    suites = ElementTree.Element("testsuites", totals)
    suite = ElementTree.SubElement(suites, "testsuite", totals)
    for diff in diffs:
        _add_case(suite, diff)
    path.parent.mkdir(parents=True, exist_ok=True)
    tree = ElementTree.ElementTree(suites)
    ElementTree.indent(tree)
    tree.write(path, encoding="utf-8", xml_declaration=True)


def _add_case(suite: ElementTree.Element, diff: CellDiff) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=_legal(f"petlab.{diff.cell.task}.{diff.cell.program}"),
        name=_legal(f"{label(diff)} [{diff.cell.digest}]"),
        time=f"{diff.seconds:.3f}",
    )
    told = [_legal(change_text(change)) for change in diff.changes]
    if diff.verdict is Verdict.NEW:
        ElementTree.SubElement(case, "skipped", message="not in OLD: nothing to compare with")
    elif diff.verdict is Verdict.GONE:
        _add_failure(case, "gone", ["in OLD and not in NEW"])
    elif diff.verdict is Verdict.REGRESSED:
        worse = [text for text, change in zip(told, diff.changes, strict=True) if change.worse]
        _add_failure(case, "regression", worse)
    said = [
        text for text in (*told, diff.uncompared and f"not compared: {diff.uncompared}") if text
    ]
    if said:
        ElementTree.SubElement(case, "system-out").text = "\n".join(said)


def _add_failure(case: ElementTree.Element, kind: str, lines: Sequence[str]) -> None:
    failure = ElementTree.SubElement(case, "failure", type=kind, message="; ".join(lines))
    failure.text = "\n".join(lines)


def _legal(text: str) -> str:
    return _NOT_XML.sub("?", text)
