"""Baselines: the part of a sweep's results that another machine can repeat, in one file.

A baseline has one line of JSON for each cell, sorted, so that version control shows which cells
changed. A line is a result without times, memory, views, answers, attacks and sentences.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from petlab.errors import PetlabError, UsageError
from petlab.running.result import Result
from petlab.running.store import read_results

REPEATABLE = ("bytes", "offline_bytes", "messages", "rounds", "expansion")
"""Costs that a baseline keeps; the others depend on the machine."""
OPTIONAL = ("phases", "views", "answer", "provenance")


def write_baseline(results: Sequence[Result], path: Path) -> None:
    """Write results as a baseline.

    Parameters
    ----------
    path
        File to write; its folder is made if it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = {_sort_key(result): _line(result) for result in results}
    path.write_text("".join(f"{lines[key]}\n" for key in sorted(lines)), encoding="utf-8")


def read_side(path: Path) -> list[Result]:
    """Read one side of a comparison: a folder of results, or a baseline.

    Raises
    ------
    UsageError
        There is nothing there, or a line is not a result.
    """
    if path.is_dir():
        return read_results(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: neither a folder of results nor a baseline ({error}).") from None
    results = [_read(line, f"{path.name} line {n}") for n, line in enumerate(lines, 1)]
    if len({result.cell.digest for result in results}) < len(results):
        raise UsageError(f"{path.name}: a cell stands there twice. Write the baseline again.")
    if not results:
        raise UsageError(f"{path.name} is empty. `petlab diff --write-baseline` makes a baseline.")
    return results


def _line(result: Result) -> str:
    promised = result.guarantee
    if promised is not None:
        promised = replace(promised, protects="", not_protected="", mechanism="")
    kept = replace(
        result,
        costs={name: result.costs[name] for name in REPEATABLE if name in result.costs},
        exposure={},
        guarantee=promised,
        notes=(),
    ).to_dict()
    return json.dumps({key: value for key, value in kept.items() if key not in OPTIONAL})


def _sort_key(result: Result) -> tuple[str, str]:
    return result.cell.name, result.cell.digest


def _read(line: str, where: str) -> Result:
    try:
        return Result.from_json(line)
    except (ValueError, KeyError, TypeError, AttributeError, PetlabError) as error:
        raise UsageError(f"{where}: not a result of a baseline ({error}).") from None
