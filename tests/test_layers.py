"""Who may import whom, how large a file may be, and what listing may load."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "petlab"
FILES = sorted(PACKAGE.rglob("*.py"))
HEAVY = {"torch", "tenseal", "flwr", "sklearn", "pandas", "scipy", "matplotlib", "crypten"}

EVALUATION = {
    *("evaluator", "registry", "store", "prepared", "placement", "exposure", "releasing"),
}
FACES = {
    *("__main__", "api", "tables", "sweep", "report", "draft", "doctor", "listing", "bench"),
    *("literals", "charts", "audit", "planning", "epsilon", "cli", "diff", "notebook", "cluster"),
    *("comparing", "decision", "scaling", "attacks"),
}
"""What people call: above everything, and free to use it."""
SHOWS_ITSELF = {("result", "tables")}
"""A notebook prints a result by itself: the one arrow that points up, inside a function."""


def module_of(path: Path) -> str:
    """Dotted name inside the package; "" for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def layer(module: str) -> int:
    """Height of a module: 0 the waist and below it, 1 the grid, 2 evaluation, 3 the faces."""
    top = module.partition(".")[0]
    if top in ("tasks", "techniques") and "." in module:
        return 1
    return 2 if top in EVALUATION else 3 if top in FACES else 0


def imports(path: Path, *, lazy: bool) -> Iterator[str]:
    """Modules of the package that a file imports; inside functions too if `lazy`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if lazy else iter(tree.body)
    for node in nodes:
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


def arrows(*, lazy: bool) -> list[tuple[str, str]]:
    """All (importer, imported) pairs."""
    return [(module_of(p), found) for p in FILES for found in imports(p, lazy=lazy)]


def package_of(module: str) -> str:
    """The task or technique that a module belongs to."""
    return ".".join(module.split(".")[:2])


def test_the_reader_of_imports_sees_the_known_ones() -> None:
    """The arrows that everybody can point at are found, so that the tests below can fail."""
    found = set(arrows(lazy=True))
    assert ("techniques.he.technique", "techniques.he.keys") in found
    assert ("prepared", "registry") in found
    assert ("tasks.chi2", "session") in found
    assert ("result", "tables") in found or not (PACKAGE / "tables.py").exists()


def test_no_arrow_points_up() -> None:
    """The waist knows no task, the grid no evaluator, and the evaluator no command line."""
    upward = {(a, b) for a, b in arrows(lazy=True) if a and layer(b) > layer(a)}
    assert upward <= SHOWS_ITSELF


def test_tasks_and_techniques_do_not_know_each_other() -> None:
    """No task imports a technique or a task, no technique another technique or a task."""
    sideways = [
        (a, b)
        for a, b in arrows(lazy=True)
        if layer(a) == 1 and layer(b) == 1 and package_of(a) != package_of(b)
    ]
    assert sideways == []


def test_modules_import_each_other_in_one_direction() -> None:
    """At import time there is no cycle."""
    graph: dict[str, set[str]] = {}
    for importer, imported in arrows(lazy=False):
        if importer:
            graph.setdefault(importer, set()).add(imported)
    assert list(graphlib.TopologicalSorter(graph).static_order())


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
