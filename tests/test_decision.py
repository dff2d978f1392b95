"""`petlab compare`: which candidates meet the constraints, and which number ruled others out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import petlab
from petlab.__main__ import main
from petlab.core.claims import Cost, Guarantee, Metric
from petlab.deciding import Prices, decide, parse_requirements
from petlab.deciding.comparison import Comparison
from petlab.deciding.decision import Question
from petlab.deciding.scaling.model import Extrapolated
from petlab.errors import UsageError
from petlab.running.result import Cell, Result, Status
from petlab.running.store import Store

CLEAR = Guarantee("none", "Nothing.", "Everything.", trusted=("analyst",))
INPUT = Guarantee("input", "Records.", "The result.", "semi-honest server", security_bits=128)
OUTPUT = Guarantee(
    "output", "People.", "Records.", "any reader", trusted=("curator",), epsilon=1.0, delta=1e-6
)


def results(
    technique: str,
    *aucs: float,
    wan_s: float | Sequence[float] = 1.0,
    guarantee: Guarantee = INPUT,
    costs: Mapping[str, float] | None = None,
) -> list[Result]:
    """One result for each seed."""
    times = [wan_s] * len(aucs) if isinstance(wan_s, float) else list(wan_s)
    found = []
    for seed, (auc, seconds) in enumerate(zip(aucs, times, strict=True)):
        amounts = {"bytes": 1e6, "cpu_s": 36.0, **(costs or {}), "wan_s": seconds}
        found.append(
            Result(
                Cell("logreg", technique=technique, dataset="heart", seed=seed),
                Status.OK,
                quality={"auc": Metric(auc, 0.9, "higher"), "brier": Metric(0.1, 0.1, "lower")},
                costs={
                    n: Cost(v, "modelled" if n == "wan_s" else "measured")
                    for n, v in amounts.items()
                },
                guarantee=guarantee,
                views={"analyst": [], "server": []},
            )
        )
    return found


BASE = results("cleartext", 0.90, 0.91, 0.92, wan_s=0.1, guarantee=CLEAR)


def asked(require: str, *more: list[Result], **how: object) -> Question:
    """Decide over cleartext and further candidates; there is one question."""
    pool = [*BASE, *(result for group in more for result in group)]
    (question,) = decide(pool, parse_requirements(require), **how).questions  # type: ignore[arg-type]
    return question


def names(question: Question, verdict: str) -> list[str]:
    """Techniques with a verdict, in order."""
    return [judged.candidate.variant.technique for judged in question.with_verdict(verdict)]


def test_short_list_is_in_order_of_what_is_preferred():
    """The cheapest of those that meet all constraints is the answer."""
    slow = results("he", 0.90, 0.91, 0.92, wan_s=9.0, costs={"bytes": 10.0})
    fast = results("fl", 0.90, 0.91, 0.92)
    question = asked("auc_loss<=0.01", slow, fast)
    assert names(question, "met") == ["fl", "he"]
    assert question.answer.startswith("fl, sums: wan_s 1.0 s (modelled)")
    assert names(asked("", slow, fast, prefer="bytes"), "met") == ["he", "fl"]


def test_cleartext_is_never_recommended():
    """It is what losses are measured against."""
    assert names(asked(""), "met") == []


def test_a_twin_without_protection_is_never_recommended():
    """It loses least because it adds no noise."""
    twins = [
        replace(r, cell=replace(r.cell, settings={"twin": "clip-only"}))
        for r in results("dp", 0.9, 0.91, 0.92)
    ]
    assert asked("", twins).judged == ()


def test_losses_are_paired_with_cleartext_of_the_same_seed():
    """Seeds differ by more than the loss, which is the same for each."""
    question = asked("auc_loss<=0.011", results("dp", 0.89, 0.90, 0.91))
    assert names(question, "met") == ["dp"]
    assert names(asked("auc_loss<=0.009", results("dp", 0.89, 0.90, 0.91)), "missed") == ["dp"]


def test_a_lower_score_is_a_gain_where_lower_is_better():
    """The loss of a Brier score is what it rose by."""
    assert names(asked("brier_loss<=0", results("he", 0.9, 0.91, 0.92)), "met") == ["he"]


def test_an_interval_across_a_limit_is_undecided_not_ruled_out():
    """With the number, the interval and the limit beside each other."""
    question = asked("auc_loss<=0.02", results("dp", 0.90, 0.88, 0.87))
    (judged,) = question.with_verdict("undecided")
    assert "around auc_loss<=0.02" in judged.doubts[0]
    assert "More seeds may decide: dp, sums" in question.answer


def test_every_ruled_out_candidate_has_the_number_that_did_it():
    """All numbers, where several did."""
    question = asked(
        "wan_s<=5, auc_loss<=0.001, epsilon<=3",
        results("he", 0.80, 0.81, 0.82, wan_s=60.0),
    )
    (judged,) = question.with_verdict("missed")
    assert len(judged.reasons) == 3
    assert "60 s (modelled), not wan_s<=5" in judged.reasons[0]
    assert "0.100 (measured), not auc_loss<=0.001" in judged.reasons[1]
    assert "nothing bounds" in judged.reasons[2]


def test_near_ties_are_said_to_be_noise():
    """Where the intervals over seeds overlap."""
    close = results("he", 0.9, 0.91, 0.92, wan_s=[1.0, 1.4, 1.1])
    closer = results("mpc", 0.9, 0.91, 0.92, wan_s=[1.1, 1.3, 1.2])
    far = results("tee", 0.9, 0.91, 0.92, wan_s=[8.0, 8.1, 8.2])
    answer = asked("", close, closer, far).answer
    assert "The difference in wan_s to mpc, sums is noise." in answer


@pytest.mark.parametrize(
    ("require", "kept"),
    [
        ("trusted!=curator", ["he"]),
        ("trusted=nobody", ["he"]),
        ("trusted=curator", ["dp"]),
        ("kind=output", ["dp"]),
        ("kind=input", ["he"]),
        ("adversary=semi-honest", ["he"]),
        ("adversary!=semi-honest", ["dp"]),
        ("epsilon<=1", ["dp"]),
        ("epsilon<1", []),
        ("delta<=1e-5", ["dp"]),
        ("security_bits>=128", ["he"]),
        ("parties<=2", ["he", "dp"]),
        ("parties<2", []),
    ],
)
def test_constraints_on_trust(require: str, kept: list[str]):
    """Read from the guarantee of what ran."""
    he, dp = results("he", 0.9, 0.9, 0.9), results("dp", 0.9, 0.9, 0.9, guarantee=OUTPUT)
    assert names(asked(require, he, dp), "met") == kept


def test_prices_make_money_of_processor_hours_and_traffic():
    """36 s at 1 an hour and 1 MB at 2 for a gigabyte."""
    prices = Prices.parse({"cpu_h": 1, "gb": 2.0})
    question = asked("price<=0.0121", results("he", 0.9, 0.9, 0.9), prices=prices)
    assert names(question, "met") == ["he"]
    assert prices.of({"cpu_s": Cost(36.0, "measured"), "bytes": Cost(1e6, "measured")}) == (
        pytest.approx(0.012)
    )
    assert prices.of({"cpu_s": Cost(36.0, "measured")}) is None


def test_extrapolated_costs_stand_in_for_measured_ones():
    """Constraints are then about the size that was asked for; a cost without a law is open."""
    he, fl = results("he", 0.9, 0.91, 0.92), results("fl", 0.9, 0.91, 0.92)
    scaled = {
        ("he", "sums"): {"wan_s": Extrapolated(900.0, 800.0, 1200.0)},
        ("fl", "sums"): {"wan_s": Extrapolated(None, reason="no law fits")},
    }
    question = asked("wan_s<=600", he, fl, scaled=scaled)
    assert names(question, "missed") == ["he"]
    assert names(question, "undecided") == ["fl"]
    assert "More seeds" not in asked("wan_s<=600", fl, scaled=scaled).answer
    unknown = asked("expansion<=3", he, scaled=scaled)
    assert "not extrapolated" in unknown.with_verdict("undecided")[0].doubts[0]
    (judged,) = question.with_verdict("missed")
    assert "15 min, 13 min to 20 min (modelled, at the size asked about)" in judged.reasons[0]


def test_what_cannot_run_stands_with_its_reason():
    """Gaps, missing packages and failures alike."""
    cell = Cell("logreg", technique="fl", dataset="heart")
    gap = Result(cell, Status.UNSUPPORTED, "no records move", gap="never")
    failed = Result(Cell("logreg", technique="tee", dataset="heart"), Status.FAILED, "it broke")
    question = asked("", [gap], [failed])
    assert dict(question.impossible) == {
        "fl, sums": "no records move",
        "tee, sums": "failed: it broke",
    }


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("auc_los<=0.1", "auc_loss"),
        ("wan_s=5", "compare it with"),
        ("trusted<=3", "= or !="),
        ("wan_s<=soon", "no number"),
        ("wan_s<=nan", "no number"),
        ("trusted!=currator", "curator"),
        ("kind=outputs", "output"),
        ("adversary=passive", "semi-honest"),
        ("wan_s", "no constraint"),
    ],
)
def test_constraints_that_mean_nothing_are_refused(text: str, match: str):
    """With the nearest name, or how it is written."""
    with pytest.raises(UsageError, match=match):
        parse_requirements(text)


def test_a_constraint_on_a_score_that_nobody_has_is_refused():
    """It would rule everything out; the scores that there are are named."""
    with pytest.raises(UsageError, match="auc"):
        decide(BASE, parse_requirements("f1_loss<=0.1"))


@pytest.mark.slow
def test_compare_with_more_owners_leaves_programs_of_two_as_they_are(monkeypatch):
    """Who applies a model has one owner of records, however many others share the sums."""
    found = petlab.compare("logreg", dataset="heart", techniques="cleartext", parties=5, seeds=1)
    there = {r.cell.program: r.cell.parties for r in found.results if r.status is Status.OK}
    assert there["sums"] == 5
    assert there["score"] is None


def test_compare_refuses_a_score_that_the_task_does_not_have():
    """After the reference, before anything that takes long."""
    with pytest.raises(UsageError, match="auc"):
        petlab.compare("chi2", dataset="heart", techniques=["he"], require="auc_loss<=0.02")


def test_a_constraint_on_another_questions_score_is_not_held_against_anybody():
    """And the question says so."""
    cell = Cell("chi2", technique="he", dataset="heart")
    counts = [
        Result(
            replace(cell, technique=t), Status.OK, quality={"p_value": Metric(0.1, 0.1, "lower")}
        )
        for t in ("cleartext", "he")
    ]
    pool = [*counts, *BASE, *results("he", 0.9, 0.91, 0.92)]
    decision = decide(pool, parse_requirements("auc_loss<=0.02"))
    other = next(q for q in decision.questions if "chi" in q.title.lower())
    assert names(other, "met") == ["he"]
    assert "Not held against anybody: no such score here:\n  auc_loss<=0.02" in repr(decision)


def test_unknown_preference_and_price_are_refused():
    """Close names are offered."""
    with pytest.raises(UsageError, match="wan_s"):
        decide(BASE, prefer="wans")
    for how in ({"prefer": "price"}, {"requirements": parse_requirements("price<=5")}):
        with pytest.raises(UsageError, match="no prices"):
            decide(BASE, **how)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="cpu_h"):
        Prices.parse({"cpu": 1.0})
    with pytest.raises(UsageError, match="at least zero"):
        Prices.parse({"gb": float("inf")})
    with pytest.raises(UsageError, match="at least zero"):
        Prices.parse({"gb": -1.0})


def test_a_decision_shows_itself_in_text_and_html():
    """Escaped, with all four groups."""
    pool = [*BASE, *results("he", 0.9, 0.91, 0.92), *results("dp", 0.5, 0.6, 0.55)]
    comparison = Comparison(pool, parse_requirements("auc_loss<=0.1"))
    assert "Short list:\n  he, sums" in repr(comparison.decision)
    shown = comparison._repr_html_()
    assert "auc_loss&lt;=0.1" in shown
    assert "<h3>Accuracy</h3>" in shown
    assert "he" in str(comparison.accuracy.frame)
    assert "wan_s (modelled)" in comparison.cost.frame.columns


@pytest.mark.slow
def test_compare_runs_what_applies_and_keeps_the_results(tmp_path: Path, capsys):
    """A table for every candidate, the baseline though nobody named it, and files to report."""
    command = "compare --task chi2 --dataset heart --techniques dp,fl --seeds 2 --set epsilon=0.5"
    arguments = [*command.split(), "--require", "epsilon<=1", "--out", str(tmp_path / "kept")]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "Short list:\n  dp, sums" in shown
    assert "Ruled out:\n  fl, sums: epsilon: nothing bounds" in shown
    assert "Not possible" in shown
    kept = [Result.from_json(path.read_text()) for path in (tmp_path / "kept").glob("*.json")]
    assert {r.cell.technique for r in kept} == {"cleartext", "dp", "fl"}
    assert {r.cell.seed for r in kept if r.status is Status.OK} == {0, 1}
    assert all(r == Store(tmp_path / "kept").read(r.cell) for r in kept)


def test_compare_refuses_before_it_runs_anything():
    """Unknown techniques, settings, programs and constraints."""
    for wrong in (
        {"techniques": ["hee"]},
        {"settings": {"epsilonn": 1}},
        {"program": "summs"},
        {"require": "aucc>=1"},
        {"seeds": 0},
        {"prefer": "wan"},
        {"technique": "he"},
        {"require": "price<=5"},
        {"price": {"gb": "O.05"}},
        {"to": {"parties": 2.5}},
        {"partition": "iidd"},
    ):
        with pytest.raises(UsageError):
            petlab.compare("logreg", dataset="heart", **wrong)  # type: ignore[arg-type]
