"""`petlab diff`: what counts as worse, what is noise, and what CI reads of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from petlab.__main__ import main
from petlab.core.claims import Cost, Guarantee, Metric
from petlab.deciding.diff import (
    Verdict,
    compare_results,
    parse_tolerances,
    read_side,
    write_baseline,
)
from petlab.running.result import Cell, Result, Status
from petlab.running.store import Store

PROMISE = Guarantee("input", "Inputs.", "Outputs.", trusted=("dealer",), security_bits=128)


def result(
    technique: str = "he",
    *,
    seed: int = 0,
    status: Status = Status.OK,
    accuracy: float | None = 0.9,
    costs: dict[str, float] | None = None,
    guarantee: Guarantee | None = PROMISE,
) -> Result:
    """A result with one score where more is better and one where less is."""
    cell = Cell("logreg", technique=technique, dataset="heart", seed=seed)
    if status is not Status.OK:
        return Result(cell, status, "it did not run")
    quality = {
        "accuracy": Metric(accuracy, 0.9, "higher"),
        "beta_rel_error": Metric(1e-4, 0.0, "lower"),
    }
    amounts = {"bytes": 1000, "rounds": 4, "messages": 12, "wall_s": 1.0} | (costs or {})
    measured = {name: Cost(value, "measured") for name, value in amounts.items()}
    return Result(cell, Status.OK, quality=quality, costs=measured, guarantee=guarantee)


def verdict(old: Result, new: Result, *tolerance: str) -> Verdict:
    """What the comparison says of a single cell."""
    (found,) = compared([old], [new], *tolerance)
    return found.verdict


def compared(old: Sequence[Result], new: Sequence[Result], *tolerance: str):
    """Compare with tolerances as they are typed."""
    return compare_results(old, new, parse_tolerances(tolerance, old=old, new=new))


def folder(path: Path, *results: Result) -> str:
    """Results as a sweep stores them."""
    for each in results:
        Store(path).write(each)
    return str(path)


@pytest.mark.parametrize(
    ("new", "tolerance", "expected"),
    [
        (result(), [], Verdict.SAME),
        (result(accuracy=0.885), [], Verdict.SAME),
        (result(accuracy=0.875), [], Verdict.REGRESSED),
        (result(accuracy=0.925), [], Verdict.IMPROVED),
        (result(accuracy=0.885), ["accuracy=0.01"], Verdict.REGRESSED),
        (result(accuracy=0.875), ["accuracy=5%"], Verdict.SAME),
        (result(accuracy=0.1), ["accuracy=inf"], Verdict.SAME),
        (result(accuracy=None), ["accuracy=inf"], Verdict.REGRESSED),
        (result(costs={"bytes": 1049}), [], Verdict.SAME),
        (result(costs={"bytes": 1051}), [], Verdict.REGRESSED),
        (result(costs={"bytes": 949}), [], Verdict.IMPROVED),
        (result(costs={"bytes": 1051}), ["bytes=10%"], Verdict.SAME),
        (result(costs={"bytes": 1001}), ["accuracy=0.01,bytes=0"], Verdict.REGRESSED),
        (result(costs={"rounds": 5}), [], Verdict.REGRESSED),
        (result(costs={"wall_s": 90.0}), [], Verdict.SAME),
        (result(costs={"wall_s": 90.0}), ["wall_s=50%"], Verdict.REGRESSED),
        (result(status=Status.FAILED), [], Verdict.REGRESSED),
        (result(status=Status.UNSUPPORTED), [], Verdict.REGRESSED),
        (result(guarantee=None), [], Verdict.REGRESSED),
        (result(guarantee=replace(PROMISE, security_bits=112)), [], Verdict.REGRESSED),
        (result(guarantee=replace(PROMISE, trusted=())), [], Verdict.IMPROVED),
        (result(guarantee=replace(PROMISE, trusted=("dealer", "x"))), [], Verdict.REGRESSED),
        (result(guarantee=replace(PROMISE, kind="none")), [], Verdict.REGRESSED),
        (result(guarantee=replace(PROMISE, adversary="else")), [], Verdict.REGRESSED),
        (result(guarantee=replace(PROMISE, not_protected="Rows.")), [], Verdict.SAME),
    ],
)
def test_a_change_counts_in_its_bad_direction_and_beyond_its_tolerance(new, tolerance, expected):
    """Scores, costs, status and guarantee each have their own way to get worse."""
    assert verdict(result(), new, *tolerance) is expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (Status.FAILED, Status.OK, Verdict.IMPROVED),
        (Status.UNSUPPORTED, Status.OK, Verdict.IMPROVED),
        (Status.UNSUPPORTED, Status.FAILED, Verdict.REGRESSED),
        (Status.UNSUPPORTED, Status.MISSING_PACKAGE, Verdict.REGRESSED),
        (Status.UNSUPPORTED, Status.UNSUPPORTED, Verdict.SAME),
    ],
)
def test_a_status_has_an_order(old, new, expected):
    """A gap that is filled is better, one that crashes is worse."""
    assert verdict(result(status=old), result(status=new)) is expected


def test_an_error_may_grow_tenfold_but_not_a_hundredfold():
    """Encryption errs at random; a lost scale is something else."""
    for factor, expected in ((9.0, Verdict.SAME), (100.0, Verdict.REGRESSED)):
        worse = {**result().quality, "beta_rel_error": Metric(1e-4 * factor, 0.0, "lower")}
        assert verdict(result(), replace(result(), quality=worse)) is expected


def test_a_vanished_cell_is_a_regression_and_a_new_one_is_not():
    """Cells are matched by content, not by position."""
    found = compared([result("he"), result("mpc")], [result("fl"), result("he")])
    assert {d.cell.technique: d.verdict for d in found} == {
        "he": Verdict.SAME,
        "mpc": Verdict.GONE,
        "fl": Verdict.NEW,
    }
    assert [d.verdict.is_regression for d in found] == [False, True, False]


def noisy(accuracies: Sequence[float], epsilon: float = 1.0) -> list[Result]:
    """A cell under differential privacy at several seeds."""
    promise = replace(PROMISE, kind="output", epsilon=epsilon, delta=1e-5)
    return [
        result("fl+dp", seed=seed, accuracy=accuracy, guarantee=promise)
        for seed, accuracy in enumerate(accuracies)
    ]


def test_one_seed_under_noise_is_compared_on_all_but_its_scores():
    """A drop that noise could explain is said to be uncompared; epsilon and traffic are not."""
    (found,) = compared(noisy([0.9]), noisy([0.6]))
    assert found.verdict is Verdict.SAME
    assert "1 seed cannot tell" in str(found.uncompared)
    assert verdict(*noisy([0.9]), *noisy([0.9], epsilon=1.1)) is Verdict.REGRESSED
    assert verdict(*noisy([0.9]), *noisy([0.9], epsilon=0.9)) is Verdict.IMPROVED
    (gone,) = noisy([0.9])
    lost = replace(gone, guarantee=replace(PROMISE, kind="output"))
    assert verdict(gone, lost) is Verdict.REGRESSED


def test_several_seeds_tell_a_collapse_from_noise():
    """The mean over seeds must have moved by more than chance explains."""
    before = noisy([0.80, 0.83, 0.81, 0.82])
    collapsed = compared(before, noisy([0.52, 0.48, 0.50, 0.51]))
    assert [d.verdict for d in collapsed] == [Verdict.REGRESSED] + [Verdict.SAME] * 3
    assert collapsed[0].changes[0].what == "accuracy, mean of 4 seeds"
    assert all(d.uncompared is None for d in collapsed)
    within = compared(before, noisy([0.70, 0.86, 0.74, 0.81]))
    assert {d.verdict for d in within} == {Verdict.SAME}


@pytest.mark.slow
def test_noise_alone_hardly_ever_alarms():
    """Of 500 pairs of three seeds from one distribution, hardly one passes the level of 0.001."""
    rng = np.random.default_rng(0)
    draws = rng.normal(0.8, 0.05, size=(500, 2, 3))
    alarms = sum(
        any(d.verdict is Verdict.REGRESSED for d in compared(noisy(a), noisy(b))) for a, b in draws
    )
    assert alarms <= 4  # more has a chance of 2e-4 at the stated level


@pytest.mark.parametrize(
    ("tolerance", "says"),
    [
        ("acuracy=0.01", "accuracy"),
        ("accuracy", "NAME=0.01"),
        ("accuracy=much", "5%"),
        ("accuracy=-1", "5%"),
        ("accuracy=nan", "5%"),
        ("bytes=%", "5%"),
    ],
)
def test_a_wrong_tolerance_is_a_usage_error(tmp_path, capsys, tolerance, says):
    """With the nearest known name, and before anything is compared."""
    there = folder(tmp_path / "r", result())
    assert main(["diff", there, there, "--tolerance", tolerance]) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.out == ""


def test_a_baseline_keeps_what_is_compared_and_nothing_of_the_machine(tmp_path):
    """Times are out; a comparison with it says the same as with the folder it came from."""
    old = [result("he"), result("mpc", status=Status.UNSUPPORTED), *noisy([0.9])]
    path = tmp_path / "new" / "baseline.jsonl"
    write_baseline(old, path)
    kept = read_side(path)
    assert len(path.read_text().splitlines()) == 3
    assert "wall_s" not in path.read_text()
    new = [result("he", costs={"bytes": 2000}), result("mpc", status=Status.FAILED)]
    from_file = {d.cell.digest: d.changes for d in compared(kept, new)}
    assert from_file == {d.cell.digest: d.changes for d in compared(old, new)}
    assert sum(len(changes) for changes in from_file.values()) == 2
    write_baseline(list(reversed(old)), tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_text() == path.read_text()


def test_the_command_writes_a_baseline_compares_with_it_and_exits_1(tmp_path, capsys):
    """The whole way that CI goes."""
    before = folder(tmp_path / "before", result("he"), result("mpc"))
    baseline = str(tmp_path / "baseline.jsonl")
    assert main(["diff", "--write-baseline", baseline, before]) == 0
    assert main(["diff", baseline, before]) == 0
    assert "2 cells: 2 as before." in capsys.readouterr().out
    after = folder(tmp_path / "after", result("he", accuracy=0.7), result("fl"))
    assert main(["diff", baseline, after]) == 1
    printed = capsys.readouterr().out
    assert "GONE       logreg/sums mpc heart seed 0" in printed
    assert "REGRESSED  logreg/sums he heart seed 0" in printed
    assert ["worse", "accuracy", "0.9", "0.7", "0.02"] in [
        line.split() for line in printed.splitlines()
    ]
    assert "3 cells: 1 new, 1 regressed, 1 gone." in printed
    assert main(["diff", baseline, after, "--tolerance", "wall_s=1"]) == 2
    assert "keeps no times" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere", "nowhere"], "nowhere"),
        (["{r}"], "OLD and NEW"),
        (["{r}", "{bad}"], "line 2"),
        (["{r}", "{twice}"], "twice"),
        (["{r}", "{empty}"], "empty"),
        (["--write-baseline", "x", "{r}", "{r}"], "one folder"),
    ],
)
def test_a_mistake_is_one_line_with_status_2(tmp_path, capsys, arguments, says):
    """Nothing there, one side only, a broken line, a cell twice."""
    names = {"r": folder(tmp_path / "r", result())}
    write_baseline([result()], tmp_path / "good")
    line = (tmp_path / "good").read_text()
    for name, text in {"bad": line + "{}\n", "twice": line * 2, "empty": ""}.items():
        (tmp_path / name).write_text(text)
        names[name] = str(tmp_path / name)
    assert main(["diff", *(argument.format(**names) for argument in arguments)]) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.err.count("\n") == 1


def test_a_baseline_with_failures_is_written_with_a_warning(tmp_path, capsys):
    """A failure that is in the baseline can be no regression later."""
    there = folder(tmp_path / "r", result(), result("mpc", status=Status.TIMEOUT))
    assert main(["diff", "--write-baseline", str(tmp_path / "b"), there]) == 0
    assert "failed or timed out: 1" in capsys.readouterr().err


def test_junit_has_a_case_for_each_cell_and_counts_that_add_up(tmp_path):
    """What GitHub's and Jenkins' readers need: suites, counts, unique names, failures, times."""
    odd = replace(result("tee", status=Status.FAILED), reason="bell \x07 & <tag>")
    old = [result("he"), result("mpc"), result("tee"), *noisy([0.9])]
    new = [result("he", accuracy=0.7), odd, *noisy([0.5]), result("fl")]
    before, path = tmp_path / "b", tmp_path / "junit" / "diff.xml"
    write_baseline(old, before)
    there = folder(tmp_path / "r", *new)
    assert main(["diff", str(before), there, "--junit", str(path)]) == 1
    (suite,) = ElementTree.parse(path).getroot()
    cases = suite.findall("testcase")
    failed = {case.get("name"): case.find("failure") for case in cases}
    counted = (suite.get("tests"), suite.get("failures"), suite.get("skipped"), suite.get("errors"))
    assert counted == ("5", "3", "1", "0")
    assert len(failed) == 5
    assert sum(failure is not None for failure in failed.values()) == 3
    assert len(suite.findall("testcase/skipped")) == 1
    assert all(case.get("classname") == "petlab.logreg.sums" for case in cases)
    assert float(suite.get("time")) == sum(float(case.get("time")) for case in cases) == 3.0
    messages = [f.get("message") for f in failed.values() if f is not None]
    assert any("accuracy got worse: 0.9 -> 0.7 (allowed: 0.02)" in m for m in messages)
    assert any("bell ? & <tag>" in m for m in messages)
    assert any("1 seed cannot tell" in o.text for o in suite.findall("testcase/system-out"))
