"""Draft a card for a user's own table."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from petlab.errors import DataError, unknown

NEGATIVE = frozenset(
    "0 0.0 -1 no n false f negative neg control controls healthy normal absent absence none benign "
    "good alive paid survived non-case noncase unaffected".split()
)
"""Names of levels that mean that there is nothing to find: the other of two is the positive."""


def draft_card(path: Path, *, target: str, observed_ranges: bool = False) -> str:
    """Write a card as TOML.

    Parameters
    ----------
    target
        The column to predict or test.
    observed_ranges
        Fill in ranges and levels from the data, and mark them so. Otherwise they are left
        blank, to be filled in from public knowledge.

    Raises
    ------
    DataError
        The file cannot be read.
    UsageError
        There is no such target column.
    """
    import pandas as pd

    if not path.exists():
        raise DataError(f"{path}: there is no such file.")
    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (ValueError, OSError) as error:
        raise DataError(f"{path.name}: cannot be read as a table: {error}.") from None
    if target not in frame.columns:
        raise unknown(f"column of {path.name}", target, map(str, frame.columns))
    lines = [
        f"name = {_text(path.stem)}",
        f"title = {_text(path.stem)}",
        'domain = "other"              # medical | financial | other',
        f"file = {_text(path.name)}",
        f'sha256 = "{hashlib.sha256(path.read_bytes()).hexdigest()}"',
        'source = ""',
        'licence = ""',
        f"target = {_text(target)}",
        *_positive(frame[target], observed_ranges),
        '# factor = ""                # column that chi2 tests against the target',
        '# id = ""                    # column of unique record IDs, never a feature',
        '# site = ""                  # column of natural sites, never a feature',
        "# records = 1000              # about how many there are, if that is public",
        'missing = "refuse"            # refuse | drop | impute:VALUE | indicator',
    ]
    for name in map(str, frame.columns):
        lines += ["", *_column(frame[name], name, name == target, observed_ranges)]
    return "\n".join(lines) + "\n"


def _positive(series: Any, observed: bool) -> list[str]:
    levels = _levels(series)
    negative = [level for level in levels if level.casefold() in NEGATIVE]
    if observed and len(levels) == 2 and len(negative) == 1:
        return [f"positive = {_text(next(x for x in levels if x not in negative))}"]
    return ['# positive = ""              # the level of a two-level target that scores 1']


def _column(series: Any, name: str, is_target: bool, observed: bool) -> list[str]:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    number = is_numeric_dtype(series) and not is_bool_dtype(series) and not is_target
    lines = [
        f"[columns.{_text(name)}]",
        f'kind = "{"number" if number else "category"}"',
        'meaning = ""',
    ]
    if number:
        bounds = json.dumps(_bounds(series)) if observed else "[]"
        lines.append(f"range = {bounds}")
    else:
        levels = _levels(series) if observed else []
        lines.append(f"levels = [{', '.join(map(_text, levels))}]")
    if observed:
        lines.append('range_source = "observed"     # read off the data: epsilon does not cover it')
    return lines


def _bounds(series: Any) -> list[float]:
    low, high = float(series.min()), float(series.max())
    return [low, high if high > low else low + 1.0]


def _levels(series: Any) -> list[str]:
    return sorted(series.dropna().astype(str).str.strip().unique())


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
