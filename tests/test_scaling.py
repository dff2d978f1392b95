"""`petlab scale`: laws that are found where they hold, and not used where they do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from petlab.__main__ import main
from petlab.data.dataset import find_dataset
from petlab.data.subset import sample
from petlab.deciding.scaling.design import Design, design
from petlab.deciding.scaling.law import GROWTH, plausible
from petlab.deciding.scaling.model import Extrapolated, extrapolate
from petlab.deciding.scaling.rounds import extrapolate_costs
from petlab.errors import DataError, UsageError
from petlab.running.evaluator import evaluate
from petlab.running.result import Cell, Status

BASE = Cell("logreg", technique="he", dataset="german_credit")
SIZES = (250.0, 500.0, 1000.0)

Cost = Callable[[Mapping[str, float]], float]


def samples(plan: Design, cost: Cost, *, noise: float = 0.0, repeats: int = 3) -> dict:
    """Made-up measurements at the points of a design."""
    rng = np.random.default_rng(3)
    return {
        p.cell.digest: [cost(p.sizes) * (1 + noise * rng.uniform(0, 1)) for _ in range(repeats)]
        for p in plan.points
    }


def found(cost: Cost, to: Mapping[str, float], *, noise: float = 0.0) -> Extrapolated:
    """Extrapolate a made-up cost."""
    plan = design(BASE, to)
    return extrapolate("cost", plan, samples(plan, cost, noise=noise), to)


@given(
    a=st.floats(0, 1e6),
    b=st.floats(1, 1e6),
    term=st.sampled_from(["linear", "square", "cube"]),
)
def test_a_law_that_holds_is_found(a: float, b: float, term: str):
    """At sixteen times the largest size, to a thousandth, wherever it can be told apart."""
    power = {"linear": 1, "square": 2, "cube": 3}[term]
    costs = [a + b * (x / 250) ** power for x in SIZES]
    law = plausible(GROWTH["features"], SIZES, costs, noise=0.0)
    best = min(law, key=lambda one: one.error)
    assert best.error < 1e-6
    assert best(16000.0) == pytest.approx(a + b * 64.0**power, rel=1e-2)


def test_records_never_grow_like_a_cube():
    """No algorithm here does: a law like that would be noise, read as a prophecy."""
    assert set(GROWTH["records"]) == {"constant", "log", "linear"}


def test_two_variables_multiply_or_add_as_the_test_point_says():
    """A product of laws, and a sum of them: each extrapolates to the truth."""
    to = {"records": 1e6, "parties": 30.0}
    for cost in (
        lambda s: 5.0 * s["records"] * s["parties"],
        lambda s: 1e5 + 40.0 * s["records"] + 9e3 * s["parties"],
    ):
        extrapolated = found(cost, to)
        assert extrapolated.value == pytest.approx(cost(to), rel=1e-6)
        assert extrapolated.low is None
        assert extrapolated.laws == {"records": "linear", "parties": "linear"}


def test_laws_that_do_not_combine_are_not_used():
    """A cost that is neither product nor sum of lines."""
    extrapolated = found(
        lambda s: 1.0 + (s["records"] - 1000) * (s["parties"] - 2) ** 2 / -100.0,
        {"records": 1e6, "parties": 30.0},
    )
    assert extrapolated.value is None
    assert "do not combine" in str(extrapolated.reason)


def test_a_poor_fit_is_not_used():
    """A cost that falls and rises."""
    steps = {250.0: 9.0, 500.0: 1.0, 1000.0: 9.0}
    extrapolated = found(lambda s: steps[s["records"]], {"records": 1e6})
    assert extrapolated.value is None
    assert "no law fits" in str(extrapolated.reason)


def test_a_step_more_or_less_is_not_read_as_growth():
    """Newton fits of some seeds need eight steps, of others seven: no square in parties."""
    to = {"parties": 30.0}
    plan = design(BASE, to)
    seen = {2.0: [21.0] * 5, 4.0: [24.0, 21, 21, 24, 21], 8.0: [21.0, 24, 21, 24, 24]}
    made = {p.cell.digest: seen[p.sizes["parties"]] for p in plan.points}
    extrapolated = extrapolate("rounds", plan, made, to)
    assert extrapolated.value == pytest.approx(22, abs=1.5)
    assert extrapolated.high is not None
    assert extrapolated.high > 25, "that they grow is not ruled out either"


def test_growth_beyond_the_noise_is_found():
    """Work that doubles with the owners, whose repeats differ by a tenth."""
    extrapolated = found(lambda s: 0.1 + 0.05 * s["parties"], {"parties": 32.0}, noise=0.1)
    assert extrapolated.laws == {"parties": "linear"}
    assert extrapolated.value == pytest.approx(1.7, rel=0.15)


def test_times_too_short_are_not_extrapolated():
    """Only times: bytes and rounds are exact however few."""
    plan = design(BASE, {"records": 4000.0})
    made = samples(plan, lambda s: 1e-5 * s["records"])
    costs = extrapolate_costs(plan, {"cpu_s": made, "bytes": made}, {"records": 4000.0})
    assert "too short" in str(costs["cpu_s"].reason)
    assert costs["bytes"].value == pytest.approx(0.04)


def uneven(plan: Design, sizes: Mapping[str, float]) -> dict[str, Extrapolated]:
    """Costs of a method that takes seven or eight steps, each with a square of the features."""
    steps = {2.0: [7, 7, 8], 4.0: [8, 7, 7], 8.0: [7, 8, 7]}
    points = [(p.cell.digest, p.sizes["parties"]) for p in plan.points]
    rounds = {digest: [2.0 * n for n in steps[size]] for digest, size in points}
    traffic = {d: [n * (50 + size**2) for n in rounds[d]] for d, size in points}
    held = {digest: [size] * 3 for digest, size in points}
    return extrapolate_costs(plan, {"rounds": rounds, "bytes": traffic, "peak_mib": held}, sizes)


def test_costs_of_methods_that_stop_by_themselves_are_fitted_per_round():
    """A round's cost follows its law exactly, though the number of rounds varies."""
    to = {"parties": 32.0}
    costs = uneven(design(BASE, to), to)
    steps = costs["rounds"].value
    assert steps == pytest.approx(14.7, abs=0.7)
    assert costs["bytes"].value == pytest.approx(float(steps or 0) * (50 + 32**2))
    assert costs["bytes"].laws == {"parties": "square"}
    low, high = costs["bytes"].ends
    assert low < 14.7 * (50 + 32**2) < high
    assert costs["peak_mib"].value == pytest.approx(32.0), "memory is not held once a round"


def test_rounds_that_follow_a_law_are_left_to_it():
    """One round more for each owner is no Newton step."""
    to = {"parties": 32.0}
    plan = design(BASE, to)
    rounds = {p.cell.digest: [4 + p.sizes["parties"]] * 3 for p in plan.points}
    costs = extrapolate_costs(plan, {"rounds": rounds, "bytes": rounds}, to)
    assert costs["rounds"].value == costs["bytes"].value == pytest.approx(36.0)


def test_the_interval_covers_the_truth_of_noisy_costs():
    """Repeats that scatter by a tenth; an exact cost has no interval."""
    extrapolated = found(lambda s: 3.0 + 0.01 * s["records"], {"records": 4000.0}, noise=0.1)
    assert extrapolated.low is not None
    assert extrapolated.high is not None
    assert extrapolated.low < 43.0 * 1.1
    assert extrapolated.high > 43.0
    assert found(lambda s: s["records"], {"records": 4000.0}).low is None


def test_sizes_are_measured_at_a_quarter_a_half_and_the_whole():
    """Of the table; parties at two, four and eight; one point lies off the lines."""
    plan = design(BASE, {"records": 1e6, "parties": 30.0})
    assert [p.cell.settings["rows"] for p in plan.lines["records"]] == [250, 500, 1000]
    assert [p.cell.parties for p in plan.lines["parties"]] == [2, 4, 8]
    assert plan.corner is not None
    assert (plan.corner.cell.parties, plan.corner.cell.settings["rows"]) == (8, 250)
    assert len(plan.points) == 6


@pytest.mark.parametrize("size", [0, -3, 2.5, float("nan"), float("inf"), "many", True])
def test_sizes_are_whole_numbers(size):
    """Nobody has two and a half owners."""
    with pytest.raises(UsageError, match="whole number"):
        design(BASE, {"parties": size})


def test_unknown_variables_and_small_tables_are_refused():
    """With close names, and how many would do."""
    with pytest.raises(UsageError, match="records"):
        design(BASE, {"record": 1e6})
    with pytest.raises(UsageError, match="too few"):
        design(Cell("logreg", dataset="heart"), {"features": 30.0})


# The part of a table that a cell uses.


def test_a_part_has_about_as_many_records_and_the_first_features():
    """Drawn by seed, each record by its own coin, without replacement."""
    whole = find_dataset("german_credit")
    part = sample(whole, rows=200, features=6, seed=1)
    table, everything = part.load(), whole.load()
    assert abs(table.rows - 200) < 60  # five deviations
    assert len(set(table.keys)) == table.rows
    assert set(table.keys) < set(everything.keys)
    assert [c.name for c in table.columns] == [c.name for c in everything.columns[:6]]
    assert table.target.mean() == pytest.approx(everything.target.mean(), abs=0.16)
    other = sample(whole, rows=200, features=6, seed=2).load()
    assert set(other.keys) != set(table.keys)
    assert sample(whole) is whole


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"rows": 2000}, DataError),
        ({"rows": 0}, UsageError),
        ({"rows": 1}, DataError),
        ({"rows": 2.5}, UsageError),
        ({"features": 99}, UsageError),
    ],
)
def test_parts_that_do_not_exist_are_refused(settings: dict, error: type[Exception]):
    """More records or features than there are, or none."""
    with pytest.raises(error):
        evaluate(Cell("logreg", dataset="german_credit", settings=settings))


def test_pixels_cannot_be_left_out():
    """An image has all of them."""
    with pytest.raises(UsageError, match="images"):
        sample(find_dataset("digits"), features=5)


def test_a_cell_on_a_part_has_the_size_of_the_part():
    """Fewer bytes for fewer features, whatever the technique."""
    few, many = (
        evaluate(Cell("chi2", technique="fl", dataset="german_credit", settings={"rows": n}))
        .costs["bytes"]
        .value
        for n in (100, 1000)
    )
    assert few == many, "a table of counts does not grow with the people"
    part = evaluate(
        Cell("logreg", technique="fl", dataset="german_credit", settings={"features": 5})
    )
    whole = evaluate(Cell("logreg", technique="fl", dataset="german_credit"))
    assert part.status is Status.OK
    assert float(part.costs["bytes"].value or 0) < float(whole.costs["bytes"].value or 0) / 4


@pytest.mark.slow
def test_scale_measures_and_prints(capsys):
    """Bytes of the linked counts grow with the records, and have no interval."""
    command = "scale --task chi2 --program linked --technique mpc --dataset german_credit"
    arguments = [*command.split(), "--to", "records=5e6", "--repeats", "1", "--price", "gb=1"]
    assert main(arguments) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert "linear in records" in lines["bytes"]
    assert "exact" in lines["bytes"]
    assert "constant in records" in lines["rounds"]
