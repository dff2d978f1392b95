"""Records read from a file and checked against their card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from petlab.card import Card, Column
from petlab.errors import DataError

if TYPE_CHECKING:
    import pandas

MISSING = -1
"""Code of a missing category."""


@dataclass(frozen=True)
class Table:
    """Complete, checked columns of equal length.

    Attributes
    ----------
    values
        Numbers as float64; categories as int64 codes into their column's levels.
    columns
        The feature columns as they now are: missing-value indicators included.
    """

    card: Card
    values: Mapping[str, np.ndarray]
    columns: tuple[Column, ...]
    rows: int

    @property
    def target(self) -> np.ndarray:
        """Class numbers, in the order of `card.classes`."""
        levels = self.card.columns[self.card.target].levels
        order = np.array([self.card.classes.index(level) for level in levels])
        return order[self.values[self.card.target]]

    def column(self, name: str) -> Column:
        """Describe one feature column."""
        return next(c for c in self.columns if c.name == name)


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
    raw = {c.name: _checked(frame[c.name], c, path.name) for c in _stored(card)}
    if card.id:
        raw[card.id] = frame[card.id].to_numpy(str)
    keep = np.ones(len(frame), bool)
    for column in _stored(card):
        gone = _gone(raw[column.name])
        forced = column.name in (card.target, card.site)
        if gone.any() and (forced or column.missing == "refuse"):
            raise DataError(
                f"{_at(path.name, gone, column)}: a value is missing. Fill it in"
                + ("." if forced else ", or choose another `missing` policy in the card.")
            )
        if column.missing == "drop":
            keep &= ~gone
    values: dict[str, np.ndarray] = {name: v[keep] for name, v in raw.items()}
    columns: list[Column] = []
    for column in card.features:
        columns += _complete(values, column)
    table = Table(card, values, tuple(columns), int(keep.sum()))
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
    return Table(card, values, tuple(columns), 0)


def _stored(card: Card) -> list[Column]:
    return [c for c in card.columns.values() if c.name != card.id]


def _read(path: Path) -> pandas.DataFrame:
    import pandas as pd

    if not path.exists():
        raise DataError(f"{path}: there is no such file.")
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
    except (ValueError, OSError) as error:
        raise DataError(f"{path.name}: cannot be read as a table: {error}.") from None


def _check_columns(frame: pandas.DataFrame, card: Card, where: str) -> None:
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
        name = f"{column.name} missing"
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
    if not table.rows:
        raise DataError(f'{where}: no row is left after missing = "drop".')
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
