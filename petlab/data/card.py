"""A data set's card: what is publicly known about every column, and where the data is from."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from petlab.data.schema import check_types
from petlab.errors import DataError, UsageError, closest

_CARD_KEYS = frozenset(
    "name title domain file sha256 source licence citation target positive factor id site "
    "missing image records columns".split()
)
_COLUMN_KEYS = frozenset("kind meaning range range_source levels missing typical repeat".split())
REPEAT_MAX = 100_000
_POLICIES = ("refuse", "drop", "indicator")


@dataclass(frozen=True)
class Column:
    """What is public about one column.

    Attributes
    ----------
    kind
        "number" or "category".
    range
        Public (low, high) of a number.
    typical
        Publicly known usual value of a number, which encoding centres on; or None.
    levels
        Public list of a category's values.
    range_source
        "public", or "observed" when range or levels were read off the data.
    missing
        "refuse", "drop", "indicator" or "impute:VALUE" with a public value.
    """

    name: str
    kind: Literal["number", "category"]
    meaning: str
    missing: str
    range: tuple[float, float] | None = None
    levels: tuple[str, ...] = ()
    range_source: str = "public"
    typical: float | None = None

    @property
    def imputed(self) -> str | None:
        """The public value that stands in for missing ones, or None."""
        return self.missing.partition(":")[2] if self.missing.startswith("impute:") else None

    @property
    def indicator(self) -> str | None:
        """Name of the column that says where a number is missing, or None without one."""
        asked = self.missing == "indicator" and self.kind == "number"
        return f"{self.name} missing" if asked else None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns that it becomes in a table."""
        return (self.name, self.indicator) if self.indicator else (self.name,)


@dataclass(frozen=True)
class Card:
    """Source, licence, checksum and columns of a data set.

    Attributes
    ----------
    image
        Height and width when the features are the pixels of an image, row by row.
    records
        How many records there are, or about so many, where that is public; or None.
    """

    name: str
    title: str
    domain: str
    file: str | None
    sha256: str | None
    source: str
    licence: str
    target: str
    positive: str | None
    factor: str | None
    id: str | None
    site: str | None
    image: tuple[int, int] | None
    columns: Mapping[str, Column]
    records: int | None = None

    @property
    def features(self) -> list[Column]:
        """Columns that describe a record: neither target, id nor site."""
        special = {self.target, self.id, self.site}
        return [c for c in self.columns.values() if c.name not in special]

    @property
    def observed(self) -> tuple[str, ...]:
        """Columns whose range or levels were read off the data."""
        return tuple(c.name for c in self.columns.values() if c.range_source == "observed")

    @property
    def classes(self) -> tuple[str, ...]:
        """Levels of the target; the positive one last when there are two."""
        levels = self.columns[self.target].levels
        if self.positive is None:
            return levels
        return (*(level for level in levels if level != self.positive), self.positive)


def read_card(path: Path) -> Card:
    """Read and check a card.

    Raises
    ------
    DataError
        The file is not TOML, a key is unknown or missing, a range is blank or upside
        down, or a column that a role names is not described.
    """
    where = path.name
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such card. `petlab card` drafts one.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError, RecursionError) as error:
        raise DataError(f"{where}: not valid TOML: {error}.") from None
    try:
        card = _card(values, where)
        check_types(card, where)
    except UsageError as error:
        raise DataError(str(error)) from None
    except (TypeError, ValueError, AttributeError, KeyError, OverflowError) as error:
        raise DataError(f"{where}: an entry is of the wrong kind ({error}).") from None
    return card


def _card(values: Mapping[str, Any], where: str) -> Card:
    _only_known(values, _CARD_KEYS, where)
    for key in ("name", "target", "columns"):
        if not values.get(key):
            raise DataError(f"{where}: {key!r} is missing.")
    default = values.get("missing", "refuse")
    columns = {
        name: _column(name, entry, default=default, where=where, role=_role(values, name))
        for name, entry in _repeated(values["columns"])
    }
    card = Card(
        name=values["name"],
        title=values.get("title", values["name"]),
        domain=values.get("domain", "other"),
        file=values.get("file"),
        sha256=values.get("sha256"),
        source=values.get("source", ""),
        licence=values.get("licence", ""),
        target=values["target"],
        positive=values.get("positive"),
        factor=values.get("factor"),
        id=values.get("id"),
        site=values.get("site"),
        image=_image(values.get("image"), where),
        columns=columns,
        records=_records(values.get("records"), where),
    )
    _check_roles(card, where)
    if card.image and card.image[0] * card.image[1] != len(card.features):
        raise DataError(f"{where}: image does not have as many pixels as there are features.")
    return card


def _repeated(entries: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Write out entries that stand for name_0, name_1, ... when they say `repeat`."""
    for name, entry in entries.items():
        if "repeat" in entry:
            count = int(entry["repeat"])
            if not 0 < count <= REPEAT_MAX:
                raise ValueError(f"repeat lies between 1 and {REPEAT_MAX}")
            yield from ((f"{name}_{k}", entry) for k in range(count))
        else:
            yield name, entry


def _image(value: Any, where: str) -> tuple[int, int] | None:
    if value is None:
        return None
    if len(value) != 2 or not all(isinstance(n, int) and n > 0 for n in value):
        raise DataError(f"{where}: image must be [height, width].")
    return int(value[0]), int(value[1])


def _records(value: Any, where: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise DataError(f"{where}: records is a whole number of at least 1.")
    return value


def _role(values: Mapping[str, Any], name: str) -> str | None:
    return next((r for r in ("target", "id", "site") if values.get(r) == name), None)


def _column(
    name: str, entry: Mapping[str, Any], *, default: str, where: str, role: str | None
) -> Column:
    at = f"{where}, column {name}"
    _only_known(entry, _COLUMN_KEYS, at)
    kind = entry.get("kind")
    if kind not in ("number", "category"):
        raise DataError(f'{at}: kind must be "number" or "category".')
    source = entry.get("range_source", "public")
    if source not in ("public", "observed"):
        raise DataError(f'{at}: range_source must be "public" or "observed".')
    missing = entry.get("missing", default)
    if missing not in _POLICIES and not missing.startswith("impute:"):
        raise DataError(f"{at}: missing must be refuse, drop, indicator or impute:VALUE.")
    bounds, levels = None, tuple(str(level) for level in entry.get("levels", ()))
    if kind == "number":
        bounds = _range(entry.get("range"), at)
    elif not levels and role != "id":
        raise DataError(f"{at}: fill in `levels`, the public list of its values.")
    if len(set(levels)) != len(levels):
        raise DataError(f"{at}: a level is listed twice.")
    typical = entry.get("typical")
    if typical is not None and (bounds is None or not bounds[0] <= typical <= bounds[1]):
        raise DataError(f"{at}: typical must be a number inside the range.")
    column = Column(name, kind, entry.get("meaning", ""), missing, bounds, levels, source, typical)
    _check_imputed(column, at)
    return column


def _range(value: Any, at: str) -> tuple[float, float]:
    if not value:
        raise DataError(
            f"{at}: fill in `range` from public knowledge, or draft the card again with "
            "--observed-ranges (differential privacy then does not cover the ranges)."
        )
    if len(value) != 2 or not -math.inf < float(value[0]) < float(value[1]) < math.inf:
        raise DataError(f"{at}: range must be [low, high], finite, with low < high.")
    return float(value[0]), float(value[1])


def _check_imputed(column: Column, at: str) -> None:
    value = column.imputed
    if value is None:
        return
    if column.kind == "category":
        if value not in column.levels:
            raise DataError(f"{at}: the imputed value is not one of its levels.")
        return
    assert column.range is not None
    try:
        inside = column.range[0] <= float(value) <= column.range[1]
    except ValueError:
        inside = False
    if not inside:
        raise DataError(f"{at}: the imputed value is not a number inside the range.")


def _check_roles(card: Card, where: str) -> None:
    for role in ("target", "factor", "id", "site"):
        name = getattr(card, role)
        if name is not None and name not in card.columns:
            raise DataError(f"{where}: {role} {name!r} has no entry. {closest(name, card.columns)}")
    for column in card.features:
        if column.indicator in card.columns:
            raise DataError(
                f"{where}, column {column.indicator}: the indicator of {column.name} would have "
                "the same name. Rename the column, or choose another `missing` policy."
            )
    for role in ("target", "site"):
        name = getattr(card, role)
        if name and card.columns[name].kind != "category":
            raise DataError(f'{where}, column {name}: the {role} must be of kind "category".')
    target = card.columns[card.target]
    if len(target.levels) < 2:
        raise DataError(f"{where}, column {target.name}: the target needs two levels or more.")
    if card.positive is not None and card.positive not in target.levels:
        raise DataError(f"{where}: positive is not a level of column {target.name}.")


def _only_known(values: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    for key in values:
        if key not in known:
            raise DataError(f"{where}: unknown key {key!r}. {closest(key, known)}")
