"""Where an enclave process starts: petlab's own modules come from their sources alone.

The device measures source files. Python would rather load byte code that it cached beside them,
and takes it for current by the date and size of the source: whoever can write there could run
something else under the same measurement. This file is run by its path, for which Python has no
cache, and imports nothing of petlab before the rule stands.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

PACKAGE = "petlab"
PARENT = str(Path(__file__).resolve().parents[3])
"""Folder of the package that was measured; no other copy is used."""


class FromSource(SourceFileLoader):
    """Compiles a module's source, whatever byte code lies beside it."""

    def get_code(self, fullname: str) -> CodeType:
        """Read and compile."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class Measured:
    """Finds the package's modules, and those only that have a source to measure."""

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Specification of a module of the package; None for all others."""
        if name.partition(".")[0] != PACKAGE:
            return None
        spec = PathFinder.find_spec(name, [PARENT] if path is None else path, target)
        if spec is None:
            return None
        if type(spec.loader) is not SourceFileLoader or spec.origin is None:
            raise ImportError(f"{name} has no source that could be measured.", name=name)
        spec.loader = FromSource(name, spec.origin)
        return spec


def main(private: int, folders: Sequence[str]) -> None:
    """Serve as an enclave; tasks may lie in further folders, too."""
    sys.meta_path.insert(0, Measured)
    from petlab.techniques.tee.measurement import add_folders

    add_folders(folders)
    from petlab.techniques.tee.enclave import main as enclave

    enclave(private)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
