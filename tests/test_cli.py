"""The command line: what it prints, where, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib

import pytest

from petlab.__main__ import command_parser, main
from petlab.running.result import Result


def table(folder, rows: int = 60):
    """A user's own CSV file."""
    import numpy as np

    rng = np.random.default_rng(0)
    path = folder / "mine.csv"
    lines = ["age,sex,ill"]
    for _ in range(rows):
        age, sex = rng.integers(20, 80), rng.choice(["f", "m"])
        ill = "yes" if rng.random() < age / 100 else "no"
        lines.append(f"{age},{sex},{ill}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("what", ["tasks", "techniques", "datasets", "support"])
def test_each_list_names_what_was_discovered(what, capsys):
    """Listing ends well and shows something for every kind."""
    assert main(["list", what]) == 0
    assert what.upper() in capsys.readouterr().out


def test_json_is_a_result_and_nothing_else_is_on_standard_output(capsys):
    """`--json` can be piped into a program."""
    assert main(["run", "--task", "chi2", "--dataset", "apoe", "--json"]) == 0
    result = Result.from_json(capsys.readouterr().out)
    assert result.status == "ok"
    assert result.cell.dataset == "apoe"


def test_tables_are_headed_accuracy_and_cost(capsys):
    """What a person reads has the same two headings as a notebook."""
    assert main(["run", "--task", "chi2", "--technique", "dp", "--dataset", "apoe"]) == 0
    printed = capsys.readouterr().out
    assert "Accuracy" in printed
    assert "Cost" in printed
    assert "Epsilon 1" in printed


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["run", "--task", "logrg"], 2, "logreg"),
        (["run", "--task", "logreg", "--technique", "hee"], 2, "he"),
        (["run", "--task", "logreg", "--dataset", "hart"], 2, "heart"),
        (["run", "--task", "logreg", "--set", "c"], 2, "key=value"),
        (["run", "--task", "logreg", "--technique", "dp", "--set", "epsilon=x"], 2, "epsilon"),
        (["run", "--task", "logreg", "--data", "x.csv"], 2, "--card"),
        (["run"], 2, "--task"),
        (["report", "--results", "nowhere"], 2, "petlab sweep"),
        (["sweep", "nowhere.yml"], 2, "nowhere.yml"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(arguments, status, says, capsys):
    """Usage errors end with status 2, on standard error, without a traceback."""
    assert main(arguments) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("petlab: ")
    assert captured.err.count("\n") == 1
    assert says in captured.err


def test_an_unsupported_cell_ends_with_status_3(capsys):
    """And its JSON is still a row with a reason."""
    arguments = ["run", "--task", "logreg", "--program", "score", "--technique", "fl", "--json"]
    assert main(arguments) == 3
    assert json.loads(capsys.readouterr().out)["gap"] == "never"


def test_a_failing_cell_ends_with_status_4(capsys):
    """Divergence is a row, not a number."""
    settings = ["--set", "method=gradient", "--set", "rate=1e15", "--set", "iterations=1000"]
    settings += ["--json"]
    assert main(["run", "--task", "logreg", *settings]) == 4
    row = json.loads(capsys.readouterr().out)
    assert row["status"] == "failed"
    assert row["quality"] == {}


def test_a_time_out_is_a_row(capsys):
    """A cell that takes too long is given up in its own process."""
    arguments = ["run", "--task", "deep", "--timeout", "0.2", "--json"]
    assert main(arguments) == 4
    assert json.loads(capsys.readouterr().out)["status"] == "timeout"


def test_a_drafted_card_has_blank_ranges_that_are_refused_until_filled_in(tmp_path, capsys):
    """Nothing that was read off the data gets into a card unasked."""
    path = table(tmp_path)
    assert main(["card", str(path), "--target", "ill"]) == 0
    text = capsys.readouterr().out
    card = tomllib.loads(text)
    assert card["columns"]["age"]["range"] == []
    assert card["columns"]["sex"]["levels"] == []
    (tmp_path / "mine.toml").write_text(text)
    asked = ["run", "--task", "logreg", "--data", str(path), "--card", str(tmp_path / "mine.toml")]
    assert main(asked) == 2
    assert "public" in capsys.readouterr().err


def test_observed_ranges_run_and_differential_privacy_says_they_escape_it(tmp_path, capsys):
    """From a user's CSV to a result, with the ranges' origin in the guarantee."""
    path = table(tmp_path)
    assert main(["card", str(path), "--target", "ill", "--observed-ranges"]) == 0
    captured = capsys.readouterr()
    assert "read off the data" in captured.err
    (tmp_path / "mine.toml").write_text(captured.out)
    mine = ["--data", str(path), "--card", str(tmp_path / "mine.toml"), "--json"]
    assert main(["run", "--task", "logreg", "--technique", "dp", *mine]) == 0
    row = json.loads(capsys.readouterr().out)
    assert "read off the data: age" in row["guarantee"]["not_protected"]


def test_help_teaches_the_first_steps():
    """A newcomer finds a command to type, and what the exit status means."""
    command = [sys.executable, "-m", "petlab", "--help"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "petlab run --task logreg --technique he" in printed
    assert "exit status" in printed


@pytest.mark.parametrize(
    "name", ["list", "run", "plan", "audit", "sweep", "report", "diff", "card", "party", "doctor"]
)
def test_every_command_is_in_the_help_and_has_one_of_its_own(name, capsys):
    """Other tools call them: none may vanish."""
    assert name in str(command_parser().format_help()).split()
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"usage: petlab {name}" in capsys.readouterr().out


def test_doctor_says_how_to_fix_what_is_missing(capsys):
    """Every line is a finding; the status is 0 only if all are well."""
    status = main(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith(("ok", "FIX")) for line in lines)
    assert (status == 0) == all(line.startswith("ok") for line in lines)


def test_a_list_of_cells_goes_on_after_a_refusal(tmp_path, capsys):
    """The one that was refused is a row, and the status says so."""
    cells = tmp_path / "cells.json"
    asked = [{"task": "chi2"}, {"task": "chi2", "dataset": "no such"}, {"task": "chi2", "seed": 1}]
    cells.write_text(json.dumps(asked))
    assert main(["run", "--cell", str(cells), "--json"]) == 2
    shown = [Result.from_json(line) for line in capsys.readouterr().out.splitlines()]
    assert [result.status for result in shown] == ["ok", "failed", "ok"]
    assert "no such" in str(shown[1].reason)


@pytest.mark.parametrize("beside", [["--task", "elm"], ["--seed", "3"], ["--set", "C=2"]])
@pytest.mark.parametrize("command", ["run", "plan", "audit"])
def test_what_stands_beside_a_whole_cell_is_refused(command, beside, tmp_path, capsys):
    """It would be ignored: the cell says it already, or something else."""
    cell = tmp_path / "cell.json"
    cell.write_text(json.dumps({"task": "chi2"}))
    assert main([command, "--cell", str(cell), *beside]) == 2
    assert beside[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    "given",
    [
        ["--task", "logreg", "--set", "C=-1"],
        ["--task", "logreg", "--set", "iterations=0"],
        ["--task", "logreg", "--set", "C=nan"],
        ["--task", "elm", "--set", "C=inf"],
        ["--task", "elm", "--set", "hidden=-3"],
        ["--task", "deep", "--set", "activation=x"],
        ["--task", "deep", "--set", "learning_rate=0"],
        ["--task", "chi2", "--set", "bins=0"],
        ["--task", "chi2", "--set", "rows=nan"],
        ["--task", "chi2", "--seed", "-1"],
    ],
    ids=" ".join,
)
def test_impossible_settings_are_refused_in_one_line(given, capsys):
    """Before anything runs, and not as a failed row with an error of Python's."""
    assert main(["run", "--dataset", "wdbc", *given]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1


def test_a_full_disk_is_not_a_regression(tmp_path, capsys, monkeypatch):
    """Status 1 is what `diff` says of numbers that got worse, and nothing else."""
    import errno

    from petlab.cli import diff

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "here")

    def broken(*_):
        raise RuntimeError("surprise")

    asked = ["diff", str(tmp_path), str(tmp_path)]
    for raised, says in ((full, "No space left on device"), (broken, "surprise")):
        monkeypatch.setattr(diff, "_diff", raised)
        assert main(asked) == 4
        assert says in capsys.readouterr().err


def test_own_data_keep_their_own_name(tmp_path):
    """In a result, wherever it was asked from."""
    import petlab

    path = table(tmp_path)
    card = tmp_path / "mine.toml"
    done = subprocess.run(
        [sys.executable, "-m", "petlab", "card", str(path), "--target", "ill", "--observed-ranges"],
        capture_output=True,
        text=True,
        check=True,
    )
    card.write_text(done.stdout)
    result = petlab.run("chi2", data=str(path), card=str(card), settings={"factor": "sex"})
    assert result.cell.dataset == "mine"


@pytest.mark.parametrize(
    ("levels", "positive"),
    [
        (("case", "control"), "case"),
        (("no", "yes"), "yes"),
        (("0", "1"), "1"),
        (("malignant", "benign"), "malignant"),
        (("a", "b"), None),
    ],
)
def test_a_drafted_card_takes_no_control_for_the_positive_class(tmp_path, levels, positive):
    """What nobody can tell is left to be filled in."""
    from petlab.data.draft import draft_card

    path = tmp_path / "mine.csv"
    path.write_text("x,y\n" + "".join(f"{k},{levels[k % 2]}\n" for k in range(10)))
    card = tomllib.loads(draft_card(path, target="y", observed_ranges=True))
    assert card.get("positive") == positive
