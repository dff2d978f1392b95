"""The measurement: a digest over everything that decides what an enclave does."""

from __future__ import annotations

import ast
import hashlib
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from petlab import tasks
from petlab.errors import ProtocolError
from petlab.techniques.tee.attestation import canonical

ROOT = Path(__file__).parents[2]
LIBRARIES = ("numpy", "scipy", "scikit-learn", "torch", "opacus", "cryptography")
"""Packages whose versions count: what programs and the enclave itself compute with."""


def measure(configuration: Mapping[str, Any], modules: Sequence[str]) -> str:
    """Digest of the program's source closure, the libraries' versions and the configuration.

    Parameters
    ----------
    configuration
        Plain JSON values: program, settings, public facts, who may read, the release policy.
    modules
        Modules of petlab from which the closure starts.

    Raises
    ------
    ProtocolError
        A module is none of petlab's.
    """
    found = hashlib.sha256()
    closure = sources(tuple(sorted(modules)))
    for name in modules:
        if name not in closure:
            raise ProtocolError(f"{name} is no module of petlab, so it cannot be measured.")
    for name, source in sorted(closure.items()):
        found.update(f"{name} {source}\n".encode())
    for package in LIBRARIES:
        found.update(f"{package} {_version(package)}\n".encode())
    found.update(f"python {platform.python_version()}\n".encode())
    found.update(canonical(dict(configuration)))
    return found.hexdigest()


def sources(modules: tuple[str, ...]) -> dict[str, str]:
    """Digest of each module's file, for all that these modules import within petlab."""
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        path = _file(name)
        if name in found or path is None:
            continue
        text = path.read_bytes()
        found[name] = hashlib.sha256(text).hexdigest()
        waiting += _imported(text)
        waiting += [name.rpartition(".")[0]] if "." in name else []
    return found


@cache
def _imported(text: bytes) -> frozenset[str]:
    """Names that a source imports; kept by its text, so that no change goes unnoticed."""
    found = set()
    for node in _statements(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """All statements, nested ones too: imports are no expressions, which are most of a tree."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for blocks in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting += getattr(node, blocks, ())


def libraries(modules: Sequence[str]) -> set[str]:
    """Modules outside petlab that the closure imports, now or when it runs."""
    found: set[str] = set()
    for name in sources(tuple(sorted(modules))):
        path = _file(name)
        assert path is not None
        found |= {n for n in _imported(path.read_bytes()) if not n.startswith("petlab")}
    return found


def folders() -> list[str]:
    """Folders outside the package from which tasks are taken, too."""
    return list(tasks.__path__)[1:]


def add_folders(paths: Iterable[str]) -> None:
    """Take tasks from further folders."""
    tasks.__path__ = [*tasks.__path__, *paths]


def _file(name: str) -> Path | None:
    parts = name.split(".")
    if parts[0] != "petlab":
        return None
    bases = [ROOT.joinpath(*parts[1:])]
    if parts[1:2] == ["tasks"]:
        bases += [Path(folder, *parts[2:]) for folder in folders()]
    for base in bases:
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path.is_file():
                return path
    return None


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"
