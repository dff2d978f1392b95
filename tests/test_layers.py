"""Who may import whom, how large a file may be, and what listing may load."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "petlab"
FILES = sorted(PACKAGE.rglob("*.py"))
HEAVY = {"torch", "tenseal", "flwr", "sklearn", "pandas", "scipy", "matplotlib", "crypten"}

ROOMS = (
    *("errors", "metering", "data", "core", "algorithms", "tasks", "techniques", "running"),
    *("study", "attacks", "deciding", "report", "cli", "__main__"),
)
"""From the ground up; tasks and techniques stand side by side, one file or folder each."""


def module_of(path: Path) -> str:
    """Dotted name inside the package; "" for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def room(module: str) -> str:
    """The room that a module stands in."""
    return module.partition(".")[0]


def height(module: str) -> int:
    """Place of its room; tasks are as high as techniques."""
    return ROOMS.index("techniques" if room(module) == "tasks" else room(module))


def imports(path: Path) -> Iterator[str]:
    """Modules of the package that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (a.name[7:] for a in node.names if a.name.startswith("petlab."))
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise AssertionError(f"{path}: imports are absolute")
        elif isinstance(node, ast.ImportFrom) and node.module == "petlab":
            yield from (a.name for a in node.names if is_module(a.name))
        elif isinstance(node, ast.ImportFrom) and str(node.module).startswith("petlab."):
            inside = str(node.module)[7:]
            for alias in node.names:
                deeper = f"{inside}.{alias.name}"
                yield deeper if is_module(deeper) else inside


def is_module(name: str) -> bool:
    """Whether a dotted name inside the package is a file or a folder."""
    path = PACKAGE.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


def arrows() -> list[tuple[str, str]]:
    """All (importer, imported) pairs, without what the package's own top looks up for users."""
    return [(module_of(p), found) for p in FILES for found in imports(p) if module_of(p)]


def package_of(module: str) -> str:
    """The task or technique that a module belongs to."""
    return ".".join(module.split(".")[:2])


def circle(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Names that import each other in a circle, or none."""
    graph: dict[str, set[str]] = {}
    for importer, imported in pairs:
        if importer != imported:
            graph.setdefault(importer, set()).add(imported)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_the_reader_of_imports_sees_the_known_ones() -> None:
    """The arrows that everybody can point at are found, so that the tests below can fail."""
    found = set(arrows())
    assert ("techniques.he.technique", "techniques.he.keys") in found
    assert ("running.prepared", "running.registry") in found
    assert ("tasks.chi2", "core.session") in found
    assert ("cli.cells", "running.run") in found, "imports inside functions count"
    assert circle([("a", "b"), ("b", "c"), ("c", "a")])


def test_the_package_has_the_rooms_of_the_list_and_nothing_else() -> None:
    """What stands at the top is what the list names, and at most 16 entries."""
    # An older checkout leaves folders behind in which only byte code is left.
    old = {path.name for path in PACKAGE.iterdir() if path.is_dir() and not [*path.rglob("*.py")]}
    entries = {path.name for path in PACKAGE.iterdir()} - old
    assert {name.removesuffix(".py") for name in entries} == {*ROOMS, "__init__", "py.typed"}
    assert len(entries) <= 16


def test_no_arrow_points_up() -> None:
    """A room imports what stands below it, inside functions too."""
    assert [(a, b) for a, b in arrows() if height(b) > height(a)] == []


def test_tasks_and_techniques_do_not_know_each_other() -> None:
    """No task imports a technique or a task, no technique another technique or a task."""
    grid = height("techniques")
    sideways = [
        (a, b)
        for a, b in arrows()
        if height(a) == height(b) == grid
        and "." in a
        and "." in b
        and package_of(a) != package_of(b)
    ]
    assert sideways == []


def test_no_files_and_no_rooms_import_each_other_in_a_circle() -> None:
    """Neither when petlab is imported nor later, inside functions."""
    assert [a for a, b in arrows() if a == b] == []
    assert circle(arrows()) == []
    assert circle((room(a), room(b)) for a, b in arrows()) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_and_functions_are_short(path: Path) -> None:
    """A file has at most 400 lines, a function under 45."""
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            assert lines < 45, node.name


def loaded_by(*arguments: str) -> set[str]:
    """Top-level modules in memory after a fresh interpreter did something."""
    code = (
        "import runpy, sys\n"
        "sys.argv = ['petlab', *sys.argv[1:]]\n"
        "try:\n"
        "    if len(sys.argv) > 1: runpy.run_module('petlab', run_name='__main__')\n"
        "    else: import petlab\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "print('\\nMODULES', *{name.partition('.')[0] for name in sys.modules})\n"
    )
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("MODULES")[2].split())


def test_importing_petlab_loads_no_heavy_library() -> None:
    """`import petlab` is for everybody, whatever is installed."""
    loaded = loaded_by()
    assert "petlab" in loaded
    assert not loaded & (HEAVY | {"numpy"})


@pytest.mark.parametrize("what", [[], ["tasks"], ["techniques"], ["datasets"], ["support"]])
def test_listing_loads_no_heavy_library(what: list[str]) -> None:
    """`petlab list` answers at once, also without the libraries."""
    if not (PACKAGE / "__main__.py").exists():
        pytest.skip("the command line is not there yet")
    loaded = loaded_by("list", *what)
    assert "petlab" in loaded
    assert not loaded & HEAVY
