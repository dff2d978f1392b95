"""What leaves the house: a release holds what its guarantee covers, and nothing exact."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from petlab import Budget, run
from petlab.__main__ import main
from petlab.data.dataset import find_dataset
from petlab.errors import UsageError
from petlab.running.evaluator import evaluate
from petlab.running.prepared import encoded_records, prepare
from petlab.running.registry import tasks
from petlab.running.result import (
    EVALUATION,
    RELEASE,
    Cell,
    Result,
    Status,
    summary_html,
    summary_text,
)

CELLS = [
    Cell(task, "sums", technique, "heart", settings={"epsilon": 1.0, **more})
    for task, more in (
        ("chi2", {}),
        ("logreg", {}),
        ("elm", {"hidden": 10}),
        ("deep", {"epochs": 1, "hidden": "4"}),
    )
    for technique in ("dp", "he+dp", "fl+dp")
]


def released(cell: Cell) -> Result:
    """The release of a cell."""
    result = evaluate(Cell(**{**vars(cell), "release": True}))
    assert result.status is Status.OK, result.reason
    return result


def numbers(value: Any) -> Iterator[float]:
    """Every number in a stored result, whatever it is called."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from numbers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from numbers(inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)


def texts(value: Any) -> Iterator[str]:
    """Every text in a stored result."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("cell", CELLS, ids=lambda c: f"{c.task}-{c.technique}")
def test_a_release_has_no_truth_beside_it(cell: Cell) -> None:
    """No reference, no error to it, no test score, no attack, no size, no checksum."""
    result = released(cell)
    assert result.quality == {}
    assert result.exposure == {}
    assert result.phases == {}
    assert set(result.costs) == {"wall_s", "cpu_s", "messages", "rounds"}
    assert result.guarantee is not None and result.guarantee.epsilon is not None
    assert result.answer, "the noisy answer is what it is for"
    stored = json.loads(result.to_json())
    assert find_dataset("heart").sha256 not in set(texts(stored))
    whole = find_dataset("heart").load().rows
    sizes = {float(whole), *(float(len(part)) for part in _owners(cell))}
    del stored["answer"]
    assert not sizes & set(numbers(stored)), "a number of records stands in the release"


def _owners(cell: Cell) -> list[np.ndarray]:
    """Records of each owner, as the run placed them."""
    from petlab.data.partition import Traits, partition

    prepared = prepare(Cell(**{**vars(cell), "release": True}))
    records = encoded_records(prepared, find_dataset(cell.dataset))
    traits = Traits(records.keys, records.labels, 2)
    return partition("iid", traits, 3, seed=cell.seed, again=False)


def test_whatever_a_result_holds_is_taken_out() -> None:
    """Also from a result that was scored, by whatever way it came here."""
    from petlab.running.releasing import released as stripped

    evaluation = evaluate(CELLS[3])
    assert evaluation.quality and evaluation.exposure and evaluation.phases
    left = stripped(evaluation, None)
    assert not (left.quality or left.exposure or left.phases)
    assert left.answer == evaluation.answer


def test_views_of_a_release_tell_no_sizes() -> None:
    """The curator was sent records; how many bytes of them tells how many."""
    views = released(CELLS[0]).views
    assert any(entry["what"] == "records" for entry in views["curator"])
    assert not any("bytes" in entry for entries in views.values() for entry in entries)


def test_times_have_one_digit() -> None:
    """They follow the number of records too."""
    for name in ("wall_s", "cpu_s"):
        value = released(CELLS[0]).costs[name].value
        assert f"{value:.0e}" == f"{value:e}".replace(".000000", "")


def test_an_evaluation_says_that_it_is_one() -> None:
    """In JSON, in a terminal and in a notebook; a release says what it is."""
    evaluation, release = evaluate(CELLS[0]), released(CELLS[0])
    for result, says in ((evaluation, EVALUATION), (release, RELEASE)):
        assert result.to_dict()["use"] == says
        assert says in summary_text(result)
        assert says in summary_html(result)
        assert Result.from_json(result.to_json()) == result
    assert evaluation.quality["statistic_rel_error"].value is not None


def test_exact_answers_are_not_released() -> None:
    """Neither without differential privacy nor from a twin of it."""
    with pytest.raises(UsageError, match="no guarantee covers"):
        run("chi2", technique="fl", dataset="heart", release=True)
    with pytest.raises(UsageError, match="no guarantee covers"):
        run("chi2", technique="dp", dataset="heart", release=True, settings={"twin": "clip-only"})


def test_a_budget_makes_a_release(tmp_path: Path) -> None:
    """Nobody has to ask for it, and the truth cannot come along."""
    budget = Budget.create(tmp_path / "b.json", dataset="heart", epsilon=1.0)
    result = evaluate(Cell("chi2", "sums", "dp", "heart", settings={"epsilon": 0.1}), budget=budget)
    assert result.cell.release
    assert result.quality == {}
    assert result.use == RELEASE


def test_the_owner_alone_can_check_which_table_it_was(tmp_path: Path) -> None:
    """The checksum is keyed with a salt that stays in the budget's file."""
    budget = Budget.create(tmp_path / "b.json", dataset="heart", epsilon=1.0)
    cell = Cell("chi2", "sums", "dp", "heart", settings={"epsilon": 0.1})
    result = evaluate(cell, budget=budget)
    checksum = find_dataset("heart").sha256
    keyed = hmac.new(budget.salt, checksum.encode(), hashlib.sha256).hexdigest()
    assert result.provenance["dataset_hmac_sha256"] == keyed
    assert len(budget.salt) == 32
    assert budget.salt.hex() not in result.to_json()
    assert "dataset_hmac_sha256" not in released(cell).provenance


def test_a_release_fits_on_all_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is set aside for a test that would not be shown."""
    found = []
    for task in tasks().values():
        monkeypatch.setattr(
            type(task), "reference", lambda *a: pytest.fail("the truth was computed")
        )
    from petlab.running import evaluator

    execute = evaluator._execute

    def watched(prepared: Any, train: Any, test: Any) -> Any:
        found.append(len(train.labels))
        return execute(prepared, train, test)

    monkeypatch.setattr(evaluator, "_execute", watched)
    released(Cell("logreg", "sums", "dp", "heart"))
    assert found == [920]


def test_why_a_release_failed_is_not_released(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error's text can hold a value."""
    from petlab.running import evaluator

    def failing(*_: Any) -> Any:
        raise ValueError("patient 17 has 3.14")

    monkeypatch.setattr(evaluator, "_execute", failing)
    result = evaluate(Cell("chi2", "sums", "dp", "heart", release=True))
    assert result.status is Status.FAILED
    assert "3.14" not in result.to_json()


def test_command_line_releases(capsys: pytest.CaptureFixture[str]) -> None:
    """And refuses where nothing is covered."""
    asked = ["run", "--task", "chi2", "--dataset", "heart", "--release", "--json"]
    assert main([*asked, "--technique", "dp"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["use"] == RELEASE
    assert shown["quality"] == {}
    assert main([*asked, "--technique", "he"]) == 2


def test_a_release_and_an_evaluation_are_two_results() -> None:
    """Neither overwrites the other in a folder; cells without the field keep their address."""
    cell, release = Cell("chi2", "sums", "dp"), Cell("chi2", "sums", "dp", release=True)
    assert cell.digest != release.digest
    assert cell.digest == Cell.from_dict({"task": "chi2", "technique": "dp"}).digest
