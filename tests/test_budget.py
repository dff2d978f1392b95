"""A study's privacy budget: booked before data is read, refused when it is spent."""

from __future__ import annotations

import json
import math

import pytest

import petlab
from petlab.__main__ import main
from petlab.errors import UsageError
from petlab.metering.accountant import Event
from petlab.running.budget import Budget, BudgetExceeded
from petlab.running.evaluator import evaluate
from petlab.running.result import Cell


@pytest.fixture
def budget(tmp_path):
    """A budget of epsilon 2 for the heart data."""
    return Budget.create(tmp_path / "budget.json", dataset="heart", epsilon=2.0, delta=1e-5)


def test_pure_releases_add_up(budget):
    """Three Laplace releases of 0.5 leave 0.5 of 2."""
    budget.spend("three", [Event(pure=0.5, releases=3)])
    assert budget.spent_epsilon == pytest.approx(1.5)
    assert budget.left_epsilon == pytest.approx(0.5)


def test_gaussian_releases_are_accounted_together_not_added(budget):
    """An independent accountant agrees with the total of two cells' releases."""
    from dp_accounting import GaussianDpEvent
    from dp_accounting.pld import PLDAccountant

    for name in ("first", "second"):
        budget.spend(name, [Event(multiplier=6.0, releases=2)])
    theirs = PLDAccountant()
    theirs.compose(GaussianDpEvent(6.0), 4)
    assert budget.spent_epsilon == pytest.approx(theirs.get_epsilon(1e-5), rel=0.02)


def test_sampled_and_unsampled_releases_compose_in_one_budget(budget):
    """Training and a statistic on the same people are accounted jointly."""
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
    from dp_accounting.pld import PLDAccountant

    budget.spend("training", [Event(multiplier=4.0, sample_rate=0.1, releases=100)])
    budget.spend("statistic", [Event(multiplier=8.0)])
    theirs = PLDAccountant()
    theirs.compose(PoissonSampledDpEvent(0.1, GaussianDpEvent(4.0)), 100)
    theirs.compose(GaussianDpEvent(8.0))
    assert budget.spent_epsilon == pytest.approx(theirs.get_epsilon(1e-5), rel=0.02)


def test_a_release_past_the_budget_is_refused_before_data_is_read(budget, monkeypatch):
    """Nothing is booked, and the table is never loaded."""
    from petlab.data.dataset import Dataset

    evaluate(
        Cell("chi2", technique="dp", dataset="heart", settings={"epsilon": 1.5}), budget=budget
    )
    monkeypatch.setattr(Dataset, "load", lambda self: pytest.fail("the data was read"))
    cell = Cell("logreg", technique="dp", dataset="heart", settings={"epsilon": 1.0})
    with pytest.raises(BudgetExceeded, match="is spent"):
        evaluate(cell, budget=budget)
    assert len(budget.spent) == 1


@pytest.mark.parametrize(("technique", "settings"), [("he", {}), ("dp", {"twin": "clip-only"})])
def test_results_without_differential_privacy_are_refused(budget, technique, settings):
    """An exact release would make the budget meaningless."""
    with pytest.raises(UsageError, match="without differential privacy"):
        evaluate(
            Cell("chi2", technique=technique, dataset="heart", settings=settings), budget=budget
        )
    assert not budget.spent


def test_a_budget_is_of_one_data_set(budget):
    """Spending it on other people is a mistake."""
    with pytest.raises(UsageError, match="'heart'"):
        evaluate(Cell("chi2", technique="dp", dataset="wdbc"), budget=budget)


def test_making_a_budget_again_opens_it_and_cannot_raise_it(budget):
    """The file is the budget: another epsilon is refused."""
    budget.spend("one", [Event(pure=1.0)])
    again = Budget.create(budget.path, dataset="heart", epsilon=2.0, delta=1e-5)
    assert again.spent_epsilon == pytest.approx(1.0)
    with pytest.raises(UsageError, match="epsilon 2"):
        Budget.create(budget.path, dataset="heart", epsilon=9.0)


def test_cells_of_a_notebook_share_one_budget_across_processes(budget):
    """The second run of a process runs apart, and spends from the same file."""
    for seed in (0, 1):
        result = petlab.run(
            "chi2",
            technique="dp",
            dataset="heart",
            seed=seed,
            settings={"epsilon": 0.5},
            budget=budget,
        )
    assert budget.spent_epsilon == pytest.approx(1.0)
    assert result.provenance["budget"]["spent"] == pytest.approx(1.0)


def test_the_command_line_spends_and_refuses_with_status_3(budget, capsys):
    """And says in one line what is left to do."""
    asked = ["run", "--task", "chi2", "--technique", "dp", "--dataset", "heart"]
    asked += ["--set", "epsilon=1.5", "--budget", str(budget.path)]
    assert main([*asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["guarantee"]["epsilon"] == pytest.approx(1.5)
    assert main(asked) == 3
    assert "is spent" in capsys.readouterr().err


def test_plan_prints_noise_for_epsilon_and_epsilon_for_noise(capsys):
    """The two directions are inverse, and no data is read for either."""
    cell = ["plan", "--task", "deep", "--technique", "dp", "--dataset", "digits", "--set"]
    assert main([*cell, "epsilon=3"]) == 0
    printed = capsys.readouterr().out
    multiplier = printed.split("noise of ")[1].split()[0]
    assert main([*cell, f"noise_multiplier={multiplier}"]) == 0
    epsilon = float(capsys.readouterr().out.split("epsilon ")[1].split()[0])
    assert math.isclose(epsilon, 3.0, rel_tol=1e-3)


def test_plan_says_that_exact_results_have_no_epsilon(capsys):
    """Nothing is accounted where nothing is noisy."""
    assert main(["plan", "--task", "logreg", "--technique", "he"]) == 0
    assert "no differential privacy" in capsys.readouterr().out


@pytest.mark.parametrize(
    "change",
    [
        {"epsilon": math.nan},
        {"epsilon": math.inf},
        {"epsilon": "2"},
        {"epsilon": None},
        {"epsilon": True},
        {"delta": math.nan},
        {"delta": 1.5},
        {"dataset": 3},
        {"spent": {}},
        {"spent": [{}]},
        {"spent": [{"what": "x", "events": []}]},
        {"spent": [{"what": "x", "events": [{"pure": math.nan}]}]},
        {"spent": [{"what": "x", "events": [{"pure": -1.0}]}]},
        {"spent": [{"what": "x", "events": [{"pure": 1.0, "releases": 0}]}]},
        {"spent": [{"what": "x", "events": [{"multiplier": "many"}]}]},
        {"salt": "salt"},
        {"salt": 3},
    ],
    ids=repr,
)
def test_a_file_that_would_limit_nothing_is_no_budget(budget, change):
    """A limit that is no number holds nothing back, and one of a wrong type is no limit."""
    values = json.loads(budget.path.read_text()) | change
    budget.path.write_text(json.dumps(values))
    with pytest.raises(UsageError, match="is not a budget"):
        Budget(budget.path)
    with pytest.raises(UsageError, match="is not a budget"):
        budget.spend("more", [Event(pure=1e-6)])


@pytest.mark.parametrize("epsilon", [math.nan, math.inf, 0.0, -1.0])
def test_an_endless_budget_is_not_made(tmp_path, epsilon):
    """Nor one of nothing."""
    with pytest.raises(UsageError, match="finite"):
        Budget.create(tmp_path / "b.json", dataset="heart", epsilon=epsilon)
    assert not (tmp_path / "b.json").exists()


def test_budgets_are_made_by_one_at_a_time(tmp_path):
    """Whoever comes second opens what the first made: what was spent meanwhile stays spent."""
    from concurrent.futures import ThreadPoolExecutor

    def made(k):
        budget = Budget.create(tmp_path / "b.json", dataset="heart", epsilon=100.0)
        budget.spend(str(k), [Event(pure=1.0)])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(made, range(16)))
    assert len(Budget(tmp_path / "b.json").spent) == 16


def test_names_in_a_budget_are_text_in_a_notebook(tmp_path):
    """Not HTML."""
    budget = Budget.create(tmp_path / "b.json", dataset="<b>heart", epsilon=1.0)
    budget.spend("<script>", [Event(pure=0.1)])
    shown = budget._repr_html_()
    assert "<script>" not in shown
    assert "<b>heart" not in shown
    assert "&lt;script&gt;" in shown


@pytest.mark.parametrize("technique", ["he", "dp", "fl"])
def test_scores_and_a_budget_are_refused_with_a_reason(budget, technique):
    """No release of theirs is covered."""
    cell = Cell("logreg", "score", technique, "heart")
    try:
        result = evaluate(cell, budget=budget)
    except UsageError as error:
        assert "without differential privacy" in str(error)
    else:
        assert result.status == "unsupported"
    assert budget.spent == ()


def test_what_has_no_events_is_not_booked(budget):
    """An exact answer would make everything else that was booked meaningless."""
    with pytest.raises(UsageError, match="without differential privacy"):
        budget.spend("exact", [])
    assert budget.spent == ()
