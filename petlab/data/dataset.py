"""Data sets by name: the shipped ones and the user's own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from petlab.data.card import Card, read_card
from petlab.data.table import Table, read_table
from petlab.errors import DataError, UsageError, unknown


@dataclass(frozen=True)
class Dataset:
    """A table file and its card."""

    card: Card
    path: Path

    @property
    def name(self) -> str:
        """Name in the card."""
        return self.card.name

    @property
    def sha256(self) -> str:
        """Checksum of the file as it is now."""
        if not self.path.exists():
            raise DataError(f"{self.path}: there is no such file.")
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    def load(self) -> Table:
        """Read and check the records.

        Raises
        ------
        DataError
            The checksum is not the card's, or a value breaks what the card declares.
        """
        if self.card.sha256 and self.card.sha256 != self.sha256:
            raise DataError(
                f"{self.path.name}: checksum differs from the card's. Restore the file, or "
                "correct sha256 in the card if the change was meant."
            )
        return read_table(self.path, self.card)


def shipped_folder() -> Path:
    """Where the shipped data sets lie: in the checkout, or inside an installed wheel."""
    package = Path(__file__).parents[1]
    inside = package / "_datasets"
    return inside if inside.is_dir() else package.parent / "datasets"


def shipped() -> dict[str, Path]:
    """Cards of the shipped data sets by name."""
    return {path.stem: path for path in sorted(shipped_folder().glob("*.toml"))}


def find_dataset(
    name: str | None = None, *, data: str | None = None, card: str | None = None
) -> Dataset:
    """Find a shipped data set by name, or the user's own by its files.

    Raises
    ------
    UsageError
        The name is unknown, or only one of `data` and `card` is given.
    """
    if data or card:
        if not (data and card):
            raise UsageError("give --data and --card together. `petlab card` drafts a card.")
        return Dataset(read_card(Path(card)), Path(data))
    cards = shipped()
    if name not in cards:
        raise unknown("data set", str(name), cards)
    found = read_card(cards[name])
    if not found.file:
        raise DataError(f"{cards[name].name}: 'file' is missing.")
    return Dataset(found, cards[name].parent / found.file)
