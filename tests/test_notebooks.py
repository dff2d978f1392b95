"""Notebooks: thin, stripped, safe under plain papermill, and runnable as they are."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import nbformat
import pytest

from petlab.deciding.epsilon import PARAMETERS as EPSILON_PARAMETERS
from petlab.errors import UsageError
from petlab.running.registry import tasks
from petlab.running.result import Cell
from petlab.running.run import check_parameters

FOLDER = Path(__file__).parents[1] / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))

HEADINGS = {
    "enclave": (
        "Memory",
        "Accuracy of the host's guesses",
        "Cost of obliviousness, for each person",
    )
}
"""Tables of a notebook that shows no cell."""


COMPARISON = {"require", "prefer", "price", "to", "seeds"}


def read(name: str):
    """A shipped notebook."""
    return nbformat.read(FOLDER / f"{name}.ipynb", 4)


def parameters(name: str) -> dict[str, object]:
    """Names and defaults in its parameters cell."""
    (cell,) = [c for c in read(name).cells if "parameters" in c.metadata.get("tags", [])]
    tree = ast.parse(cell.source)
    return {node.targets[0].id: ast.literal_eval(node.value) for node in tree.body}


def test_every_task_has_a_notebook_and_there_is_one_to_compare():
    """Notebooks are named for tasks; three more compare techniques, epsilons, and leaks."""
    assert set(NAMES) == {*tasks(), "compare", "epsilon", "enclave"}


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_thin_and_stripped(name):
    """Six cells with fixed ids, no function, no loop, no output."""
    notebook = read(name)
    assert len(notebook.cells) == 6
    assert all(cell.id.isalpha() for cell in notebook.cells)
    # Without it JupyterLab asks for a kernel before it runs anything.
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs
            assert cell.execution_count is None
            banned = (ast.FunctionDef, ast.For, ast.While, ast.ClassDef)
            assert not any(isinstance(node, banned) for node in ast.walk(ast.parse(cell.source)))


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_the_fields_of_a_cell_with_type_and_help(name):
    """What papermill can set is exactly what decides a result."""
    wanted = {f.name for f in fields(Cell)}
    wanted = {
        "compare": wanted - {"technique", "release"} | {"techniques"} | COMPARISON,
        "epsilon": set(EPSILON_PARAMETERS),
        "enclave": {"dataset"},
    }.get(name, wanted - {"task"})
    assert set(parameters(name)) == wanted
    source = next(c for c in read(name).cells if c.id == "parameters").source
    for line in source.splitlines():
        comment = line.partition("  # ")[2]
        assert comment.partition(": ")[0].split()[0] in ("str", "int", "bool", "dict", "list")
        assert comment.partition(": ")[2]


def test_an_injected_parameter_that_does_not_exist_is_refused():
    """papermill only warns of it, and would run the defaults."""
    history = ["", "technique = 'cleartext'", "# Parameters\ntecnique = 'he'\n"]
    with pytest.raises(UsageError, match="technique"):
        check_parameters(["technique", "seed"], {"In": history})


def test_a_name_that_is_misspelt_in_the_parameters_cell_is_refused():
    """Editing the cell by hand is checked too."""
    with pytest.raises(UsageError, match="seed"):
        check_parameters(["technique", "seed"], {"In": ["technique = 'he'\nsed = 3"]})


def test_other_cells_may_name_what_they_like():
    """Only parameters are checked, not a user's scratch cells."""
    check_parameters(["technique"], {"In": ["technique = 'he'", "frame = 3", "%matplotlib inline"]})


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_unparameterised_and_shows_both_tables(name, tmp_path):
    """Plain papermill: tables under their headings, no error output."""
    out = tmp_path / "out.ipynb"
    command = [sys.executable, "-m", "papermill", str(FOLDER / f"{name}.ipynb"), str(out)]
    # All techniques take minutes: that they run is for the contract tests.
    command += ["-y", "{techniques: [he, dp], seeds: 2}"] if name == "compare" else []
    subprocess.run(command, check=True, capture_output=True)
    html = "".join(
        output.get("data", {}).get("text/html", "")
        for cell in nbformat.read(out, 4).cells
        for output in cell.get("outputs", [])
    )
    for heading in HEADINGS.get(name, ("Accuracy", "Cost")):
        assert f"<h3>{heading}</h3>" in html
    streams = [
        output
        for cell in nbformat.read(out, 4).cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream" and output.name == "stderr"
    ]
    assert not streams


@pytest.mark.slow
def test_papermill_with_a_technique_runs_that_technique(tmp_path):
    """`-p technique fl` is what the guarantee then tells of."""
    out = tmp_path / "out.ipynb"
    source = str(FOLDER / "chi2.ipynb")
    command = [sys.executable, "-m", "papermill", source, str(out), "-p", "technique", "fl"]
    subprocess.run(command, check=True, capture_output=True)
    assert "chi2/sums fl heart" in out.read_text()
