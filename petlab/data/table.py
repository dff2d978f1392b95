"""Records read from a file and checked against their card."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from petlab.data.assignment import record_keys
from petlab.data.card import Card, Column
from petlab.errors import DataError

if TYPE_CHECKING:
    import pandas

MISSING = -1
"""Code of a missing category."""


@dataclass(frozen=True)
class Table:
    """Checked columns of equal length.

    Attributes
    ----------
    values
        Numbers as float64; categories as int64 codes into their column's levels. What is
        missing from a column with `missing = "drop"` is NaN, or the code `MISSING`, until
        `complete` leaves the record out.
    columns
        The feature columns as they now are: missing-value indicators included.
    keys
        What decides where each record goes, see `petlab.data.assignment`; shape (rows,).
    """

    card: Card
    values: Mapping[str, np.ndarray]
    columns: tuple[Column, ...]
    keys: np.ndarray

    @property
    def rows(self) -> int:
        """Number of records."""
        return len(self.keys)

    @property
    def target(self) -> np.ndarray:
        """Class numbers, in the order of `card.classes`."""
        levels = self.card.columns[self.card.target].levels
        order = np.array([self.card.classes.index(level) for level in levels])
        return order[self.values[self.card.target]]

    def column(self, name: str) -> Column:
        """Describe one feature column."""
        return next(c for c in self.columns if c.name == name)

    def take(self, index: np.ndarray) -> Table:
        """Return the records at `index`."""
        values = {name: found[index] for name, found in self.values.items()}
        return replace(self, values=values, keys=self.keys[index])

    def missing(self, name: str) -> np.ndarray:
        """Which records have no value in a feature column, shape (rows,)."""
        return _gone(self.values[name])

    def complete(self, names: Iterable[str] | None = None) -> tuple[Table, dict[str, int]]:
        """Leave out the records that lack a value where one is needed.

        Parameters
        ----------
        names
            The feature columns that are used; None for all.

        Returns
        -------
        The rest, and how many records each column was missing from.

        Raises
        ------
        DataError
            No record is left.
        """
        used = [c.name for c in self.columns] if names is None else list(names)
        gone = {name: self.missing(name) for name in used}
        counts = {name: int(lacks.sum()) for name, lacks in gone.items() if lacks.any()}
        if not counts:
            return self, {}
        kept = np.flatnonzero(~np.any(list(gone.values()), axis=0))
        if not len(kept):
            raise DataError(
                f'no row is left after missing = "drop" in {", ".join(counts)}. Choose another '
                "`missing` policy in the card."
            )
        return self.take(kept), counts


def read_table(path: Path, card: Card) -> Table:
    """Read a CSV or Parquet file, check every value, and apply the missing-value policies.

    Raises
    ------
    DataError
        With file, row and column, never the value: an undeclared or absent column, a value
        that is not a number, outside its range or not a level, a missing value where the
        policy refuses it, a missing target, an empty site, or only one class.
    """
    frame = _read(path)
    _check_columns(frame, card, path.name)
    values = {c.name: _checked(frame[c.name], c, path.name) for c in _stored(card)}
    ids = _ids(frame[card.id], card, path.name) if card.id else None
    for column in _stored(card):
        gone = _gone(values[column.name])
        forced = column.name in (card.target, card.site)
        if gone.any() and (forced or column.missing == "refuse"):
            raise DataError(
                f"{_at(path.name, gone, column)}: a value is missing. Fill it in"
                + ("." if forced else ", or choose another `missing` policy in the card.")
            )
    keys = record_keys(list(values.values()), ids)
    columns: list[Column] = []
    for column in card.features:
        columns += _complete(values, column)
    if ids is not None:
        values[card.id or ""] = ids
    table = Table(card, values, tuple(columns), keys)
    _check_content(table, path.name)
    return table


def empty_table(card: Card) -> Table:
    """Make a table of no records: what a card alone says about the encoded columns."""
    values: dict[str, np.ndarray] = {
        column.name: np.zeros(0, float if column.kind == "number" else np.int64)
        for column in _stored(card)
    }
    columns: list[Column] = []
    for column in card.features:
        columns += _complete(values, column)
    return Table(card, values, tuple(columns), np.zeros(0, np.uint64))


def _stored(card: Card) -> list[Column]:
    return [c for c in card.columns.values() if c.name != card.id]


def _read(path: Path) -> pandas.DataFrame:
    import pandas as pd

    if not path.exists():
        raise DataError(f"{path}: there is no such file.")
    if path.suffix != ".parquet":
        return _read_csv(path)
    try:
        return pd.read_parquet(path)
    except (ValueError, OSError) as error:
        raise DataError(f"{path.name}: cannot be read as a table: {error}.") from None


def _read_csv(path: Path) -> pandas.DataFrame:
    """Read text fields exactly as they stand; an empty one is missing.

    pandas' own reader takes the first column for row names when rows end in a comma, and fills
    short rows up: every value would then be one column off, without a word.
    """
    import pandas as pd

    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True)
            header = next(lines, [])
            rows = [line for line in lines if line]
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise DataError(f"{path.name}: cannot be read as a table: {error}.") from None
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            last = header[min(len(row), len(header) - 1)] if header else ""
            raise DataError(
                f"{path.name} row {number}, column {last}: the row has {len(row)} fields, the "
                f"header {len(header)}. Add what is missing, or take a comma away."
            )
    fields = zip(*rows, strict=True) if rows else [()] * len(header)
    columns = [[value or None for value in column] for column in fields]
    frame = pd.DataFrame(dict(enumerate(columns)), dtype=object)
    frame.columns = pd.Index(header)
    return frame


def _check_columns(frame: pandas.DataFrame, card: Card, where: str) -> None:
    names = [str(name) for name in frame.columns]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{where}: column {twice} stands in the header twice. Rename one.")
    absent = [name for name in card.columns if name not in frame.columns]
    if absent:
        raise DataError(f"{where}: column {absent[0]} of the card is not in the file.")
    undeclared = [str(name) for name in frame.columns if name not in card.columns]
    if undeclared:
        raise DataError(
            f"{where}: column {undeclared[0]} is not declared. Give it a kind in the card, "
            "or remove it from the file."
        )
    if not len(frame):
        raise DataError(f"{where}: the table has no rows.")


def _checked(series: Any, column: Column, where: str) -> np.ndarray:
    import pandas as pd

    missing = series.isna().to_numpy()
    if column.kind == "number":
        numbers = pd.to_numeric(series, errors="coerce").to_numpy(float)
        bad = (np.isnan(numbers) | np.isinf(numbers)) & ~missing
        if bad.any():
            raise DataError(f"{_at(where, bad, column)}: the value is not a finite number.")
        low, high = column.range or (-np.inf, np.inf)
        outside = (numbers < low) | (numbers > high)
        if outside.any():
            raise DataError(
                f"{_at(where, outside, column)}: value outside the card's public range "
                f"{low:g}..{high:g}. Widen the range if that is public knowledge, or correct "
                "the record."
            )
        return numbers
    levels = pd.Index(column.levels, dtype="string")
    result = levels.get_indexer(series.astype("string").str.strip()).astype(np.int64)
    bad = (result == MISSING) & ~missing
    if bad.any():
        raise DataError(
            f"{_at(where, bad, column)}: value is not one of the card's {len(column.levels)} "
            "levels. Add the level if it is public knowledge, or correct the record."
        )
    return result


def _ids(series: Any, card: Card, where: str) -> np.ndarray:
    missing = series.isna().to_numpy()
    if missing.any():
        column = card.columns[card.id or ""]
        raise DataError(f"{_at(where, missing, column)}: the ID is missing. Fill it in.")
    return series.to_numpy(str)


def _gone(values: np.ndarray) -> np.ndarray:
    return np.isnan(values) if values.dtype.kind == "f" else values == MISSING


def _complete(values: dict[str, np.ndarray], column: Column) -> list[Column]:
    """Fill in what is missing; return the column and perhaps its indicator."""
    found = values[column.name]
    gone = _gone(found)
    if column.missing == "indicator":
        if column.kind == "category":
            values[column.name] = np.where(gone, len(column.levels), found)
            return [replace(column, levels=(*column.levels, "missing"))]
        assert column.range is not None
        values[column.name] = np.where(gone, sum(column.range) / 2, found)
        name = column.indicator or ""
        values[name] = gone.astype(float)
        return [column, Column(name, "number", "was not recorded", "refuse", (0.0, 1.0))]
    if column.imputed is not None:
        fill = (
            float(column.imputed)
            if column.kind == "number"
            else column.levels.index(column.imputed)
        )
        values[column.name] = np.where(gone, fill, found)
    return [column]


def _check_content(table: Table, where: str) -> None:
    card = table.card
    if len(np.unique(table.values[card.target])) < 2:
        raise DataError(f"{where}, column {card.target}: only one class is present.")
    if card.site:
        present = set(np.unique(table.values[card.site]))
        for code, level in enumerate(card.columns[card.site].levels):
            if code not in present:
                raise DataError(
                    f"{where}, column {card.site}: site {level!r} of the card has no records "
                    "(left). Choose another `missing` policy, or remove the level."
                )


def _at(where: str, rows: np.ndarray, column: Column) -> str:
    return f"{where} row {int(np.argmax(rows)) + 1}, column {column.name}"
