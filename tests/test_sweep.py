"""Sweeps: every cell ends as a row, nothing is run twice, and no row is another's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import nbformat
import pytest

from petlab.errors import UsageError
from petlab.running.result import Cell, Result, Status
from petlab.running.store import Store, StoreError, read_results
from petlab.running.sweep import Sweep, _alone, read_sweep, run_sweep

REPOSITORY = Path(__file__).parents[1]
NOTEBOOKS = REPOSITORY / "notebooks"
PETLAB = metadata.version("petlab")


def sweep_file(folder: Path, text: str) -> Path:
    """A sweep in a folder that has the shipped notebooks beside it."""
    path = folder / "notebooks" / "sweeps" / "test.yml"
    path.parent.mkdir(parents=True)
    for notebook in NOTEBOOKS.glob("*.ipynb"):
        (folder / "notebooks" / notebook.name).write_text(notebook.read_text())
    path.write_text(text)
    return path


def one_cell(folder: Path, cell: Cell, *, timeout_s: int = 120) -> Result:
    """Run one cell's notebook from a folder of notebooks."""
    sweep = Sweep("one", folder, (cell,), timeout_s)
    (result,) = run_sweep(sweep, folder / "results")
    return result


def edited_notebook(folder: Path, name: str, change) -> None:
    """Copy a shipped notebook and break it."""
    notebook = nbformat.read(NOTEBOOKS / name, 4)
    change(notebook)
    nbformat.write(notebook, folder / name)


def test_smoke_sweep_is_readable_and_names_every_supported_pair():
    """The shipped sweep has each supported program and technique at least once."""
    from petlab.cli.listing import support_matrix

    cells = read_sweep(NOTEBOOKS / "sweeps" / "smoke.yml").cells
    asked = {(c.task, c.program, c.technique) for c in cells}
    supported = {(s.task, s.program, s.technique) for s in support_matrix() if s.gap is None}
    assert supported <= asked


def test_full_sweep_has_every_supported_pair_on_three_seeds_and_several_tables():
    """The nightly sweep is readable; pairs that image data would make huge run on fewer tables."""
    from petlab.cli.listing import support_matrix

    cells = read_sweep(NOTEBOOKS / "sweeps" / "full.yml").cells
    assert 1000 < len(cells) < 4000
    assert len({cell.digest for cell in cells}) == len(cells)
    for pair in support_matrix():
        if pair.gap is None:
            run = [c for c in cells if (c.task, c.program, c.technique) == key(pair)]
            assert {c.seed for c in run} == {0, 1, 2}, pair
            assert len({c.dataset for c in run}) >= 4, pair
    shipped = {path.stem for path in (REPOSITORY / "datasets").glob("*.toml")}
    assert {cell.dataset for cell in cells} == shipped


def key(pair) -> tuple[str, str, str]:
    """Task, program and technique of an entry of the support matrix."""
    return pair.task, pair.program, pair.technique


def test_lists_of_values_make_a_cell_for_each_combination(tmp_path):
    """Two tasks, two seeds and one technique are four cells."""
    path = sweep_file(tmp_path, "grid:\n- {task: [chi2, elm], technique: dp, seed: [0, 1]}\n")
    cells = read_sweep(path).cells
    assert {(c.task, c.seed) for c in cells} == {(t, s) for t in ("chi2", "elm") for s in (0, 1)}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("grid:\n- {task: logrg}\n", "logreg"),
        ("grid:\n- {task: chi2, technik: he}\n", "technique"),
        ("grid:\n- {task: logreg, technique: dp, settings: {epsilo: 1}}\n", "epsilon"),
        ("gird: []\n", "grid"),
        ("grid: [\n", "cannot be read"),
    ],
)
def test_a_misspelt_sweep_is_refused_with_the_nearest_name(tmp_path, text, says):
    """Nothing runs when a cell names something that does not exist."""
    with pytest.raises(UsageError, match=says):
        read_sweep(sweep_file(tmp_path, text))


def test_a_stored_result_of_another_cell_is_not_reported(tmp_path, capsys):
    """A file renamed to another cell's address is left out, and named."""
    store = Store(tmp_path)
    asked, other = Cell("chi2", technique="he"), Cell("chi2", technique="fl")
    store.path(asked).write_text(Result(other, Status.OK).to_json())
    with pytest.raises(StoreError, match="another cell"):
        store.read(asked)
    kept = store.write(Result(other, Status.OK))
    assert [result.cell for result in read_results(tmp_path)] == [other]
    said = capsys.readouterr().err
    assert store.path(asked).name in said
    assert kept.name not in said


ODD = {
    "half": lambda text: text[:50],
    "a list": lambda text: "[1, 2]",
    "a number": lambda text: "3",
    "a budget": lambda text: '{"dataset": "heart", "epsilon": 1, "delta": 1e-5, "spent": []}',
    "another schema": lambda text: text.replace('"schema": 1', '"schema": 99'),
    "a text for a number": lambda text: text.replace('"seed": 1', '"seed": "1"'),
    "a cost that is none": lambda text: text.replace('"costs": {}', '"costs": {"bytes": 3}'),
    "not a number": lambda text: text.replace(
        '"costs": {}', '"costs": {"bytes": {"value": NaN, "source": "measured"}}'
    ),
    "a text for a cost": lambda text: text.replace(
        '"costs": {}', '"costs": {"bytes": {"value": "many", "source": "measured"}}'
    ),
    "no such status": lambda text: text.replace('"status": "ok"', '"status": "fine"'),
    "a field too many": lambda text: text.replace('"gap": null', '"gap": null, "more": 1'),
}


@pytest.mark.parametrize("change", ODD.values(), ids=ODD)
def test_one_odd_file_ends_no_report(tmp_path, capsys, change):
    """It is named, and never said to be deleted: it may be somebody's budget."""
    store = Store(tmp_path)
    good, other = Result(Cell("chi2"), Status.OK), Result(Cell("chi2", seed=1), Status.OK)
    odd = store.path(other.cell)
    store.write(good)
    odd.write_text(other.to_json())
    assert read_results(tmp_path) in ([good, other], [other, good]), "where a result would lie"
    text = other.to_json()
    odd.write_text(change(text))
    assert change(text) != text
    capsys.readouterr()
    assert read_results(tmp_path) == [good]
    said = capsys.readouterr().err
    assert odd.name in said
    assert "elete" not in said


def test_a_very_long_name_has_a_place(tmp_path):
    """Cells are told apart by their digest; file systems take 255 bytes."""
    store = Store(tmp_path)
    cells = [Cell("chi2", dataset="ü" * 300, seed=seed) for seed in (0, 1)]
    for cell in cells:
        store.write(Result(cell, Status.OK))
    assert [store.read(cell).cell for cell in cells] == cells


def test_two_sweeps_do_not_share_a_folder(tmp_path):
    """One could overwrite what the other found, by what it did not."""
    sweep = Sweep("gap", NOTEBOOKS, (Cell("logreg", "outsourced", "he"),))
    with _alone(tmp_path / "results"), pytest.raises(UsageError, match="another sweep writes"):
        run_sweep(sweep, tmp_path / "elsewhere" / ".." / "results")
    with _alone(tmp_path / "others"):
        assert len(run_sweep(sweep, tmp_path / "results")) == 1


def own_table(folder: Path, rows: int = 80) -> dict[str, str]:
    """A user's own table and card."""
    rng = __import__("numpy").random.default_rng(rows)
    data, card = folder / "mine.csv", folder / "mine.toml"
    lines = [f"{rng.integers(0, 2)},{rng.integers(0, 3)}" for _ in range(rows)]
    data.write_text("ill,gene\n" + "\n".join(lines) + "\n")
    card.write_text(
        'name = "mine"\ntarget = "ill"\nfactor = "gene"\n'
        '[columns.ill]\nkind = "category"\nlevels = ["0", "1"]\n'
        '[columns.gene]\nkind = "category"\nlevels = ["0", "1", "2"]\n'
    )
    return {"data": str(data), "card": str(card)}


@pytest.mark.slow
def test_a_sweep_never_gives_yesterdays_numbers_for_todays_table(tmp_path):
    """What is stored holds while table, card, petlab and settings are the same, and no longer."""
    files = own_table(tmp_path)
    text = f"grid:\n- {{task: chi2, dataset: x, data: {files['data']}, card: {files['card']}}}\n"
    path = sweep_file(tmp_path, text)
    sweep, out = read_sweep(path), tmp_path / "results"
    assert sweep.cells[0].dataset == "mine", "the card's name, not another table's"

    def run() -> Result:
        (result,) = run_sweep(read_sweep(path), out)
        assert result.status is Status.OK, result.reason
        return result

    first, again = run(), run()
    assert again.provenance["started"] == first.provenance["started"], "nothing changed"
    own_table(tmp_path, rows=90)
    second = run()
    assert sum(map(sum, second.answer["table"])) == 90
    Path(files["card"]).write_text(Path(files["card"]).read_text() + "# \n")
    assert run().provenance["started"] == second.provenance["started"], "a comment says nothing"
    text = Path(files["card"]).read_text().replace('levels = ["0", "1"]', 'levels = ["1", "0"]')
    Path(files["card"]).write_text(text)
    third = run()
    assert third.provenance["started"] != second.provenance["started"]
    stored = out / next(out.glob("*.json")).name
    stored.write_text(stored.read_text().replace(f'"petlab": "{PETLAB}"', '"petlab": "0.0.9"'))
    assert run().provenance["petlab"] == PETLAB


def test_a_sweep_finds_its_notebooks_from_anywhere(tmp_path):
    """A file that lies by itself is of petlab's own notebooks."""
    path = tmp_path / "mine.yml"
    path.write_text("grid:\n- {task: chi2}\n")
    assert (read_sweep(path).notebooks / "chi2.ipynb").exists()


def test_an_empty_folder_says_how_to_make_results(tmp_path):
    """A report of nothing is refused with the command to run."""
    with pytest.raises(UsageError, match="petlab sweep"):
        read_results(tmp_path)


def test_an_unsupported_cell_is_a_row_without_starting_a_notebook(tmp_path):
    """A gap needs no kernel: the row has its kind and reason."""
    result = one_cell(tmp_path, Cell("chi2", program="linked", technique="fl", dataset="apoe"))
    assert (result.status, result.gap) == (Status.UNSUPPORTED, "never")
    assert result.reason
    assert not list(tmp_path.glob("runs/*.ipynb"))


@pytest.mark.slow
def test_a_cell_that_fails_is_a_row_with_its_reason_and_is_tried_again(tmp_path):
    """Training that diverges ends as `failed`, and the next sweep repeats it."""
    (tmp_path / "deep.ipynb").write_text((NOTEBOOKS / "deep.ipynb").read_text())
    cell = Cell(
        "deep",
        dataset="wdbc",
        settings={"learning_rate": 1e15, "epochs": 40, "activation": "square"},
    )
    first = one_cell(tmp_path, cell)
    assert first.status is Status.FAILED
    assert "finite" in str(first.reason)
    store = Store(tmp_path / "results")
    written = store.path(cell).stat().st_mtime_ns
    one_cell(tmp_path, cell)
    assert store.path(cell).stat().st_mtime_ns > written


@pytest.mark.slow
def test_a_dead_kernel_a_time_out_and_a_wrong_cell_are_rows(tmp_path):
    """A crash, an endless cell and a lost parameters tag each end as their own row."""

    def crash(notebook):
        notebook.cells[2].source = "import os\nos._exit(9)"

    def hang(notebook):
        notebook.cells[2].source = "import time\ntime.sleep(600)"

    def untag(notebook):
        notebook.cells[1].metadata.tags = []

    edited_notebook(tmp_path, "chi2.ipynb", crash)
    dead = one_cell(tmp_path, Cell("chi2"))
    assert dead.status is Status.FAILED
    assert "kernel died" in str(dead.reason)
    edited_notebook(tmp_path, "elm.ipynb", hang)
    late = one_cell(tmp_path, Cell("elm"), timeout_s=2)
    assert late.status is Status.TIMEOUT
    edited_notebook(tmp_path, "logreg.ipynb", untag)
    wrong = one_cell(tmp_path, Cell("logreg", technique="cleartext"))
    assert wrong.status is Status.FAILED
    assert "no result of the cell asked for" in str(wrong.reason)


@pytest.mark.slow
def test_a_killed_sweep_finishes_the_rest_and_repeats_nothing(tmp_path):
    """SIGKILL half-way; the second start runs only what was missing."""
    path = sweep_file(
        tmp_path, "grid:\n- {task: chi2, technique: [cleartext, he, fl, dp], dataset: apoe}\n"
    )
    out = tmp_path / "results"
    command = [sys.executable, "-m", "petlab", "sweep", str(path), "--out", str(out)]
    killed = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(out.glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    before = {p.name: p.stat().st_mtime_ns for p in out.glob("*.json")}
    assert 0 < len(before) < 4
    subprocess.run(command, check=True, capture_output=True)
    after = {p.name: p.stat().st_mtime_ns for p in out.glob("*.json")}
    assert len(after) == 4
    assert {name: after[name] for name in before} == before
    assert all(json.loads((out / name).read_text())["status"] == "ok" for name in after)
    assert not list(out.glob(".partial-*"))
