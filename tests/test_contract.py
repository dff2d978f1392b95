"""What holds for every task under every technique, over all pairs that are discovered."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from studies import costs, evaluated, public_of, records_of, spread

from petlab.algorithms.perceptron.network import initial_parameters
from petlab.core.batches import batch
from petlab.core.claims import Metric
from petlab.core.ops import Gap, Kind
from petlab.core.party import Shard
from petlab.core.session import Opening
from petlab.core.settings import Setting, describe_settings
from petlab.data.card import Card
from petlab.data.dataset import find_dataset, shipped
from petlab.errors import Unsupported
from petlab.running import registry
from petlab.running.evaluator import evaluate
from petlab.running.result import Cell, Result, Status

GUARDED = [f"{base}+{guard}" for base in registry.techniques() for guard in registry.guards()]
PAIRS = [
    (task.name, program, spec)
    for task in registry.tasks().values()
    for program in task.programs
    for spec in dict.fromkeys([*registry.technique_names(), *GUARDED])
]
SUPPORTED = [
    pair
    for pair in PAIRS
    if not registry.support(
        registry.find_task(pair[0]), registry.find_task(pair[0]).programs[pair[1]], pair[2]
    )
]
GAPS = [pair for pair in PAIRS if pair not in SUPPORTED]
QUICK: dict[tuple[str, str], dict[str, Setting]] = {
    ("deep", "sums"): {"epochs": 2, "hidden": "8"},
    ("deep", "outsourced"): {"epochs": 2, "hidden": "8"},
    ("deep", "score"): {"epochs": 2, "hidden": "4", "activation": "square"},
}
TABLES = list(shipped())
LARGE = {"taiwan_default", "digits", "german_credit", "mnist5k"}
"""Tables whose cells take seconds."""
BY_SIZE = [pytest.param(t, marks=pytest.mark.slow) if t in LARGE else t for t in TABLES]
NARROW = [p for p, table in zip(BY_SIZE, TABLES, strict=True) if table != "mnist5k"]
"""Tables for Newton's method: ten Hessians of 784 pixels take minutes."""


def cell(task: str, program: str, spec: str, dataset: str = "wdbc", **settings: Setting) -> Cell:
    """A cell with settings that keep it quick."""
    chosen = {**QUICK.get((task, program), {}), **settings}
    return Cell(task, program, spec, dataset, settings=chosen)


def test_the_grid_is_not_empty() -> None:
    """Discovery found the tasks and techniques, so that the suite below means something."""
    assert {"chi2", "elm", "logreg", "deep"} <= {task for task, _, _ in SUPPORTED}
    assert {"cleartext", "he", "fl", "dp"} <= {spec for _, _, spec in SUPPORTED}
    assert GAPS


@pytest.mark.parametrize(("task", "program", "spec"), SUPPORTED)
def test_declared_support_runs(task: str, program: str, spec: str) -> None:
    """A pair without a declared gap ends ok on real data."""
    result = evaluated(cell(task, program, spec))
    assert result.status is Status.OK, result.reason
    assert result.reason is None
    assert result.quality


@pytest.mark.parametrize(("task", "program", "spec"), GAPS)
def test_declared_gap_is_a_row_with_kind_and_reason(task: str, program: str, spec: str) -> None:
    """A pair that cannot run still gives a row, and the row says why."""
    result = evaluated(cell(task, program, spec))
    assert result.status is Status.UNSUPPORTED
    assert result.gap in set(Kind)
    assert result.reason is not None
    assert len(result.reason.split()) >= 4


@pytest.mark.parametrize(("task", "program", "spec"), GAPS)
def test_declared_gap_raises_when_it_is_run_all_the_same(
    task: str, program: str, spec: str
) -> None:
    """Who goes around the evaluator meets the gap, not an unprotected answer."""
    found = registry.find_task(task)
    chosen = found.settings(**QUICK.get((task, program), {}))
    records = records_of(task, "wdbc", chosen, rows=60)
    levels = {**records.public.levels, "scored": 60}
    public = replace(public_of(records, 2), levels=levels)
    technique = registry.find_technique(spec)
    plan = found.programs[program].plan(chosen, public)
    opening = Opening(spread(records, 2), plan, release=technique.release(plan))
    with pytest.raises(Unsupported):
        technique.execute(found.programs[program], opening)


@pytest.mark.parametrize("spec", list(registry.techniques()))
def test_every_missing_hook_raises_with_its_reason(spec: str) -> None:
    """A gap stands where the hook would stand and refuses to be called."""
    session = registry.techniques()[spec].session
    for name in dir(session):
        hook = getattr(session, name)
        if isinstance(hook, Gap):
            with pytest.raises(Unsupported, match=f"{hook.kind}: .+"):
                hook(session)


@pytest.mark.parametrize(("task", "program", "spec"), SUPPORTED)
def test_costs_are_reported_with_their_source(task: str, program: str, spec: str) -> None:
    """No technique reports no traffic; modelled numbers are labelled as such."""
    result = evaluated(cell(task, program, spec))
    found = costs(result)
    for name in ("bytes", "rounds", "messages", "wall_s", "cpu_s", "expansion"):
        assert found[name] > 0, name
        assert result.costs[name].source == "measured"
    assert {result.costs[name].source for name in ("lan_s", "wan_s")} == {"modelled"}
    assert found["wan_s"] > found["rounds"] * 0.05
    assert found["wan_s"] > found["lan_s"] > 0
    assert found["messages"] >= found["rounds"]


@pytest.mark.parametrize(("task", "program", "spec"), SUPPORTED)
def test_guarantee_says_what_ran(task: str, program: str, spec: str) -> None:
    """Its fields fit the technique and each other, and it names what is not protected."""
    guarantee = evaluated(cell(task, program, spec)).guarantee
    assert guarantee is not None
    assert guarantee.protects
    assert guarantee.not_protected
    private = "dp" in spec.split("+")
    assert (guarantee.epsilon is not None) == private
    assert (guarantee.delta is not None) == private
    assert ("output" in guarantee.kind.split("+")) == private
    if private:
        # The default that was asked for; sampled batches are calibrated by a search.
        assert guarantee.epsilon == pytest.approx(1.0, rel=1e-3)
        assert guarantee.epsilon <= 1.0 + 1e-3
        places = {"dp": "curator", "cleartext+dp": "curator", "tee+dp": "enclave"}
        place = places.get(spec, "owners")
        assert f"noise by the {place}" in guarantee.mechanism
        if "tee" not in spec.split("+"):
            assert guarantee.trusted == (("curator",) if place == "curator" else ())
    encrypted, shared, enclosed = (name in spec.split("+") for name in ("he", "mpc", "tee"))
    assert guarantee.security_bits == (128 if encrypted or shared or enclosed else None)
    if enclosed:
        assert "hardware" in guarantee.kind.split("+")
        assert guarantee.trusted == ("chip maker", "enclave")
        assert "A simulation" in guarantee.not_protected
    if shared:
        assert "input" in guarantee.kind.split("+")
        dealt = program != "sums"
        assert ("dealer" in guarantee.trusted) == dealt
        assert "shares modulo 2^64 among 2 processes" in guarantee.mechanism
    if encrypted:
        assert "input" in guarantee.kind.split("+")
        assert "N=8192" in guarantee.mechanism
    if spec == "fl":
        assert guarantee.kind == "input"
        assert "aggregator" in guarantee.trusted
    if spec == "cleartext":
        assert guarantee.kind == "none"


@pytest.mark.parametrize(("task", "program", "spec"), PAIRS)
def test_result_survives_its_stored_form(task: str, program: str, spec: str) -> None:
    """Reading what was written gives the same result, and no number is NaN or infinite."""
    result = evaluated(cell(task, program, spec))
    text = result.to_json()
    assert Result.from_json(text).to_json() == text
    assert Result.from_json(text).cell == result.cell
    assert Result.from_json(text).guarantee == result.guarantee
    json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} in a stored result")


@pytest.mark.parametrize(("task", "program", "spec"), GAPS)
def test_absent_numbers_are_absent(task: str, program: str, spec: str) -> None:
    """A row that did not run has no score, no cost and no guarantee: not zeros."""
    values = evaluated(cell(task, program, spec)).to_dict()
    assert values["quality"] == {}
    assert values["costs"] == {}
    assert values["guarantee"] is None


def test_score_that_is_not_a_number_is_null(monkeypatch: pytest.MonkeyPatch) -> None:
    """A NaN becomes null on its way into the result."""
    chi2 = registry.find_task("chi2")
    found = {"auc": Metric(float("nan"), 0.5, "higher")}
    monkeypatch.setattr(type(chi2), "score", lambda *arguments: found)
    result = evaluate(cell("chi2", "sums", "cleartext"))
    assert result.to_dict()["quality"]["auc"]["value"] is None


def test_missing_package_is_a_row_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without its library a technique's cell is a row, not a traceback."""
    he = registry.techniques()["he"]
    monkeypatch.setattr(he, "packages", {"no_such_library": "no-such-library"})
    result = evaluate(cell("chi2", "sums", "he"))
    assert result.status is Status.MISSING_PACKAGE
    assert "pip install no-such-library" in str(result.reason)


def test_failing_cell_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that breaks leaves status, error and place in a row."""
    chi2 = registry.find_task("chi2")
    monkeypatch.setattr(type(chi2), "score", _break)
    result = evaluate(cell("chi2", "sums", "cleartext"))
    assert result.status is Status.FAILED
    assert "ZeroDivisionError" in str(result.reason)


def _break(*arguments: Any) -> Mapping[str, Metric]:
    return {"auc": Metric(1 / 0, None, "higher")}


@pytest.mark.parametrize("spec", registry.technique_names())
def test_phases_add_up_to_the_time_on_the_clock(spec: str) -> None:
    """Every moment between opening the session and the answer is in exactly one phase."""
    task, technique = registry.find_task("logreg"), registry.find_technique(spec)
    settings = task.settings(iterations=3)
    records = records_of("logreg", "wdbc", settings)
    plan = task.programs["sums"].plan(settings, public_of(records, 3))
    technique.warm_up()
    opening = Opening(spread(records, 3), plan, release=technique.release(plan))
    started = time.perf_counter()
    run = technique.execute(task.programs["sums"], opening)
    elapsed = time.perf_counter() - started
    phases = sum(phase["wall_s"] for phase in run.phases.values())
    assert phases == pytest.approx(run.costs["wall_s"].value, rel=1e-9)
    assert phases <= elapsed
    # Processes of their own import libraries and end, which nobody is charged for.
    if not {"mpc", "tee"} & set(spec.split("+")):
        assert phases >= elapsed - 0.02 - 0.05 * elapsed


@pytest.mark.parametrize(("task", "program", "spec"), SUPPORTED)
def test_every_party_has_a_view(task: str, program: str, spec: str) -> None:
    """Who took part, as sender or receiver, is listed with what it received."""
    result = evaluated(cell(task, program, spec))
    senders = {entry["sender"] for view in result.views.values() for entry in view}
    assert senders <= result.views.keys()
    assert any(name.startswith("owner-") for name in result.views)
    total = sum(entry["bytes"] for view in result.views.values() for entry in view)
    assert total == result.costs["bytes"].value


def test_setting_names_do_not_collide() -> None:
    """One flat list of settings serves task, technique and guard: no name means two things."""
    sides = [
        [task.settings for task in registry.tasks().values()],
        [technique.settings for technique in registry.techniques().values()],
        [guard.settings for guard in registry.guards().values()],
    ]
    names = [{f.name for owner in side for f in describe_settings(owner)} for side in sides]
    names.append({"records_max", *Cell.__dataclass_fields__})
    for k, left in enumerate(names):
        for right in names[k + 1 :]:
            assert not left & right


def crosstab(card: Card) -> np.ndarray:
    """The contingency table by pandas and numpy, from the file as it stands."""
    dataset = find_dataset(card.name)
    read = pd.read_parquet if dataset.path.suffix == ".parquet" else pd.read_csv
    frame = read(dataset.path)
    factor = card.columns[str(card.factor)]
    disease = frame[card.target].astype(str)
    if factor.kind == "category":
        table = pd.crosstab(disease, frame[factor.name].astype(str))
        return table.reindex(index=card.classes, columns=factor.levels, fill_value=0).to_numpy()
    assert factor.range is not None
    edges = np.linspace(*factor.range, 5)
    rows = [np.histogram(frame[factor.name][disease == c], edges)[0] for c in card.classes]
    return np.array(rows)


@pytest.mark.parametrize(
    ("spec", "program"),
    [("cleartext", "sums"), ("fl", "sums"), ("he", "sums"), ("he", "linked")],
)
@pytest.mark.parametrize("table", BY_SIZE)
def test_chi2_is_exact(table: str, spec: str, program: str) -> None:
    """Counts equal pandas', the statistic scipy's, under encryption and federation too."""
    result = evaluated(Cell("chi2", program, spec, table))
    observed = crosstab(find_dataset(table).card)
    np.testing.assert_array_equal(result.answer["table"], observed)
    seen = observed[np.ix_(observed.sum(1) > 0, observed.sum(0) > 0)]
    exact = stats.chi2_contingency(seen, correction=False)
    assert result.answer["statistic"] == pytest.approx(exact.statistic, rel=1e-6)
    assert result.answer["p_value"] == pytest.approx(exact.pvalue, rel=1e-5, abs=1e-300)


@pytest.mark.parametrize("spec", ["he", "fl"])
@pytest.mark.parametrize("table", BY_SIZE)
def test_elm_is_exact_up_to_the_condition_limit(table: str, spec: str) -> None:
    """beta is scikit-learn's within 1e-6 and predictions agree; no note is needed."""
    result = evaluated(Cell("elm", "sums", spec, table))
    assert result.status is Status.OK, result.reason
    assert result.answer["condition"] <= 1e6
    assert result.quality["beta_rel_error"].value <= 1e-6
    assert result.quality["prediction_agreement"].value >= 0.999
    assert result.notes == ()


@pytest.mark.parametrize("spec", ["cleartext", "he", "fl"])
def test_elm_past_the_condition_limit_says_so(spec: str) -> None:
    """An ill-conditioned system is reported as such."""
    result = evaluated(cell("elm", "sums", spec, C=1e9, hidden=80))
    assert result.answer["condition"] > 1e6
    assert "condition number" in " ".join(result.notes)


@pytest.mark.parametrize("spec", ["he", "fl"])
@pytest.mark.parametrize("table", NARROW)
def test_newton_logreg_is_as_good_as_scikit_learn(table: str, spec: str) -> None:
    """AUC within .005 of the pooled fit, on every shipped table of moderate width."""
    result = evaluated(Cell("logreg", "sums", spec, table))
    assert result.status is Status.OK, result.reason
    assert result.quality["auc"].reference > 0.6  # the reference itself has learned something
    assert result.quality["auc"].value == pytest.approx(result.quality["auc"].reference, abs=0.005)
    assert result.quality["prediction_agreement"].value >= 0.99


@pytest.mark.parametrize(
    ("spec", "table", "steps"),
    [
        ("he", "heart", 60),
        ("fl", "heart", 60),
        pytest.param("fl", "wdbc", 400, marks=pytest.mark.slow),
    ],
)
def test_gradient_logreg_is_as_good_as_scikit_learn(spec: str, table: str, steps: int) -> None:
    """Accelerated gradient steps reach the same ranking."""
    wanted: dict[str, Setting] = {"method": "gradient", "iterations": steps}
    result = evaluated(Cell("logreg", "sums", spec, table, settings=wanted))
    assert result.quality["auc"].value == pytest.approx(result.quality["auc"].reference, abs=0.005)
    assert result.quality["accuracy"].value == pytest.approx(
        result.quality["accuracy"].reference, abs=0.03
    )


def test_quadratic_logreg_is_ridge_regression_on_signs() -> None:
    """Aono's surrogate equals ridge regression on -1/+1 labels, rescaled."""
    from sklearn.linear_model import Ridge

    task = registry.find_task("logreg")
    settings = task.settings(method="quadratic")
    records = records_of("logreg", "wdbc", settings)
    plan = task.programs["sums"].plan(settings, public_of(records, 3))
    run = registry.find_technique("he").execute(
        task.programs["sums"], Opening(spread(records, 3), plan)
    )
    a = 0.0976419
    ridge = Ridge(alpha=1 / (2 * a), fit_intercept=True, solver="cholesky")
    ridge.fit(records["features"], 2 * records["labels"][:, 0] - 1)
    expected = np.r_[ridge.intercept_, ridge.coef_] / (4 * a)
    np.testing.assert_allclose(run.answer["theta"][:, 0], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("program", ["logreg", "deep"])
def test_encrypted_scores_are_the_plain_ones(program: str) -> None:
    """Scores under CKKS stay within its precision of the reference's."""
    result = evaluated(cell(program, "score", "he"))
    assert result.quality["score_max_error"].value <= 1e-2
    assert result.quality["prediction_agreement"].value >= 0.99


@pytest.mark.parametrize(
    ("spec", "tolerance"),
    [("cleartext", 1e-9), ("fl", 1e-9), pytest.param("he", 1e-5, marks=pytest.mark.slow)],
)
def test_deep_follows_plain_torch_for_200_steps(spec: str, tolerance: float) -> None:
    """After 200 float64 steps on the same batches, weights are those of torch's own SGD."""
    task = registry.find_task("deep")
    settings = task.settings(epochs=20, batch_share=0.1, hidden="6", activation="relu")
    records = records_of("deep", "wdbc", settings)
    shards = spread(records, 3)
    plan = task.programs["sums"].plan(settings, public_of(records, 3))
    assert plan.releases == 200
    run = registry.find_technique(spec).execute(
        task.programs["sums"], Opening(shards, plan, seed=5)
    )
    expected = torch_training(shards, features=len(records.public.features), seed=5)
    assert np.abs(run.answer["weights"] - expected).max() <= tolerance
    start = initial_parameters([len(records.public.features), 6, 2], seed=5)
    assert np.abs(expected - start).max() > 0.1  # training went somewhere


def test_owner_smaller_than_a_batch_takes_part() -> None:
    """With ten batches an epoch, an owner of four records has empty ones: it adds nothing then."""
    task = registry.find_task("deep")
    settings = task.settings(epochs=1, batch_share=0.1, hidden="4")
    records = records_of("deep", "wdbc", settings, rows=60)
    first, second = spread(records, 2)
    shards = [first, Shard(second.owner, 4, second.take(np.arange(4)).arrays)]
    public = replace(records.public, owners=2, records=sum(shard.rows for shard in shards))
    plan = task.programs["sums"].plan(settings, public)
    found = [
        registry.find_technique(spec)
        .execute(task.programs["sums"], Opening(shards, plan))
        .answer["weights"]
        for spec in ("cleartext", "fl")
    ]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9)


def torch_training(shards: list[Any], *, features: int, seed: int) -> np.ndarray:
    """Two hundred steps of torch.optim.SGD on a torch.nn network, pooled batches."""
    flat = torch.tensor(initial_parameters([features, 6, 2], seed=seed))
    network = torch.nn.Sequential(
        torch.nn.Linear(features, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2)
    ).double()
    cut = features * 6
    with torch.no_grad():
        network[0].weight.copy_(flat[:cut].reshape(features, 6).T)
        network[0].bias.copy_(flat[cut : cut + 6])
        network[2].weight.copy_(flat[cut + 6 : cut + 18].reshape(6, 2).T)
        network[2].bias.copy_(flat[cut + 18 :])
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    for step in range(200):
        drawn = [batch(s.rows, 0.1, step, seed=(seed, s.owner)) for s in shards]
        pairs = list(zip(shards, drawn, strict=True))
        x = np.concatenate([shard["features"][index] for shard, index in pairs])
        y = np.concatenate([shard["classes"][index] for shard, index in pairs])
        optimizer.zero_grad()
        # The mean over a batch of the expected size: private programs know no other.
        loss = torch.nn.functional.cross_entropy(
            network(torch.tensor(x)), torch.tensor(y), reduction="sum"
        )
        (loss / (0.1 * sum(shard.rows for shard in shards))).backward()
        optimizer.step()
    parts = [network[0].weight.T, network[0].bias, network[2].weight.T, network[2].bias]
    return torch.cat([part.detach().reshape(-1) for part in parts]).numpy()
