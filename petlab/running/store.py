"""Results on disk: one JSON file per cell, content-addressed, written atomically."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from petlab.errors import PetlabError, UsageError
from petlab.running.result import Cell, Result

LONGEST = 180
"""Bytes of a file's name before the digest."""


class StoreError(PetlabError):
    """A stored file is not the result it claims to be."""


class Store:
    """A folder of results.

    Parameters
    ----------
    folder
        Made when the first result is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, cell: Cell) -> Path:
        """Where a cell's result is kept."""
        words = [cell.task, cell.program, cell.technique, cell.dataset]
        # The digest alone tells cells apart, and file systems take 255 bytes.
        readable = re.sub(r"[^\w.+-]+", "_", "-".join(words)).encode()[:LONGEST]
        return self.folder / f"{readable.decode(errors='ignore')}-{cell.digest}.json"

    def write(self, result: Result) -> Path:
        """Write a result so that readers see all of it or nothing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.path(result.cell)
        handle, partial = tempfile.mkstemp(dir=self.folder, prefix=".partial-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(result.to_json())
            os.replace(partial, path)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise
        return path

    def read(self, cell: Cell) -> Result | None:
        """Read a cell's result, or None when there is none.

        Raises
        ------
        StoreError
            The file holds another cell's result, or cannot be read.
        """
        path = self.path(cell)
        if not path.exists():
            return None
        result = _read(path)
        if result.cell != cell:
            raise StoreError(f"{path.name}: holds another cell than the one asked for.")
        return result

    def forget(self, cell: Cell) -> None:
        """Delete a cell's result, if there is one."""
        self.path(cell).unlink(missing_ok=True)

    def __iter__(self) -> Iterator[Result]:
        for path in sorted(self.folder.glob("*.json")):
            result = _read(path)
            if self.path(result.cell) != path:
                raise StoreError(f"{path.name}: its name is not that of its cell.")
            yield result

    def readable(self) -> tuple[list[Result], list[str]]:
        """All results, and what is wrong with each file that is none: one ends nothing."""
        results, odd = [], []
        for path in sorted(self.folder.glob("*.json")):
            try:
                result = _read(path)
            except StoreError as error:
                odd.append(str(error))
                continue
            if self.path(result.cell) == path:
                results.append(result)
            else:
                odd.append(f"{path.name}: its name is not that of its cell.")
        return results, odd


def read_results(folder: Path) -> list[Result]:
    """All results of a folder; what else lies there is named on standard error.

    Raises
    ------
    UsageError
        There are none.
    """
    results, odd = Store(folder).readable()
    for said in odd:
        print(f"petlab: left out: {said}", file=sys.stderr)
    if not results:
        raise UsageError(f"{folder} holds no results. `petlab sweep` makes some.")
    return results


def _read(path: Path) -> Result:
    try:
        return Result.from_json(path.read_text(encoding="utf-8"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, PetlabError) as error:
        raise StoreError(f"{path.name}: not a readable result ({error}).") from None
