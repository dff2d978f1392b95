"""The waist fits what comes next: toy programs under every technique that carries them out."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import toy_programs as toys
from studies import evaluated, payloads, public_of, records_of, spread

from petlab import tasks, techniques
from petlab.core.claims import Guarantee
from petlab.core.contribution import Contribution, qualified_name, resolve
from petlab.core.party import ANALYST, SERVER, Shard
from petlab.core.plan import Plan, Public
from petlab.core.rows import Dense
from petlab.core.session import Opening, Session
from petlab.core.task import Answer, Program
from petlab.core.technique import Run, Technique
from petlab.errors import (
    OutOfRange,
    PlanExceeded,
    ProtocolError,
    Unsupported,
    UsageError,
)
from petlab.metering import wire
from petlab.metering.transcript import Transcript
from petlab.running import registry
from petlab.running.evaluator import evaluate
from petlab.running.result import Cell, Status
from petlab.techniques.cleartext import CleartextSession

FEATURES = ("a", "b", "c")
ACCUMULATING = ["cleartext", "he"]
PUBLIC = Public(features=FEATURES, feature_norm=2.0, levels={"scored": 7}, owners=3)
BFV_MODULUS = 72057594037616641


def owners(count: int = 3) -> list[Shard]:
    """Small shards of random records with labels."""
    rng = np.random.default_rng(8)
    shards = []
    for k in range(count):
        x = rng.uniform(-1, 1, (12, 3))
        y = (x @ [2.0, -1.0, 0.5] + rng.normal(size=12) > 0).astype(float)
        shards.append(Shard(f"owner-{k + 1}", 12, {"x": x, "y": y}))
    return shards


def with_server() -> list[Shard]:
    """One owner's records, and the server with a matrix of its own."""
    rng = np.random.default_rng(9)
    x, matrix = rng.uniform(-1, 1, (7, 3)), rng.uniform(-1, 1, (3, 2))
    return [Shard("owner-1", 7, {"x": x}), Shard(SERVER, 0, {"matrix": matrix})]


def opened(
    technique: str, shards: list[Shard], program: Program, **settings: int
) -> tuple[Session, Plan]:
    """A recording session for a toy program."""
    plan = program.plan(toys.Settings(**settings), PUBLIC)
    found = registry.find_technique(technique)
    return found.open(Opening(shards, plan, record=True)), plan


def run(technique: str, shards: list[Shard], program: Program, **settings: int) -> Run:
    """Execute a toy program with recorded payloads."""
    plan = program.plan(toys.Settings(**settings), PUBLIC)
    return registry.find_technique(technique).execute(program, Opening(shards, plan, record=True))


# Encrypted weights.


@pytest.mark.parametrize("program", [toys.encrypted_weights, toys.travelling_weights])
def test_encrypted_weights_equal_quantised_plaintext_sgd_bit_for_bit(program: Program) -> None:
    """In a fixed order, decrypted weights are those of SGD on the same fixed-point grid."""
    steps, shards = 6, owners()
    weights = run("he", shards, program, steps=steps).answer["weights"]
    # The grid: sums of steps + 1 terms of up to 8 stay under half the plaintext modulus.
    bits = math.floor(math.log2(BFV_MODULUS / 2 / (toys.WEIGHT_MAX * (steps + 1))))
    grid = [0, 0, 0]  # exact Python integers
    for step in range(steps):
        shard, now = shards[step % 3], np.array([math.ldexp(w, -bits) for w in grid])
        p = 1 / (1 + np.exp(-shard["x"] @ now))
        change = -toys.RATE * shard["x"].T @ (p - shard["y"]) / shard.rows
        if program is toys.encrypted_weights:
            added = [round(math.ldexp(float(c), bits)) for c in change]
            grid = [g + a for g, a in zip(grid, added, strict=True)]
        else:
            grid = [round(math.ldexp(float(w), bits)) for w in now + change]
    assert weights.tolist() == [math.ldexp(w, -bits) for w in grid]
    assert np.abs(weights).max() > 0.1


@pytest.mark.parametrize("program", [toys.encrypted_weights, toys.travelling_weights])
def test_weights_without_protection_equal_plain_sgd(program: Program) -> None:
    """The same program, pooled, is plain SGD in floating point."""
    shards, expected = owners(), np.zeros(3)
    for step in range(6):
        shard = shards[step % 3]
        p = 1 / (1 + np.exp(-shard["x"] @ expected))
        expected = expected - toys.RATE * shard["x"].T @ (p - shard["y"]) / shard.rows
    weights = run("cleartext", shards, program, steps=6).answer["weights"]
    np.testing.assert_allclose(weights, expected, rtol=1e-12)


@pytest.mark.parametrize("program", [toys.encrypted_weights, toys.travelling_weights])
def test_weights_travel_through_the_server_as_ciphertexts(program: Program) -> None:
    """The server stores and adds; it never meets the number that the owners read."""
    found = run("he", owners(), program, steps=6)
    final = found.answer["weights"].astype("<f8").tobytes()
    assert not any(final in payload for payload in payloads(found, SERVER))
    assert any(final in payload for payload in payloads(found, ANALYST))


def test_shared_secret_key_is_named_in_the_guarantee() -> None:
    """That every owner holds the key, so that one who colludes opens all, is not hidden."""
    found = run("he", owners(), toys.encrypted_weights, steps=2)
    assert "opens everything" in found.guarantee.not_protected
    alone = evaluated(Cell("chi2", "sums", "he")).guarantee
    assert alone is not None
    assert "opens everything" not in alone.not_protected


@pytest.mark.parametrize("technique", ACCUMULATING)
def test_holder_cannot_be_a_reader(technique: str) -> None:
    """An accumulator that its holder can open protects nothing."""
    session, _ = opened(technique, owners(), toys.encrypted_weights)
    with pytest.raises(UsageError, match="cannot hold what it may read"):
        session.hold(np.zeros(3), at=SERVER, readers=[SERVER], coordinate_max=1, terms_max=1)


def test_compute_server_cannot_be_a_reader_of_anything() -> None:
    """Under encryption the server must not hold a key, whoever stores the accumulator."""
    session, _ = opened("he", owners(), toys.encrypted_weights)
    with pytest.raises(ProtocolError, match="hold no key"):
        session.hold(np.zeros(3), at="owner-1", readers=[SERVER], coordinate_max=1, terms_max=1)


@pytest.mark.parametrize("technique", ACCUMULATING)
def test_who_is_no_reader_is_refused(technique: str) -> None:
    """An accumulator opens to its readers alone."""
    session, _ = opened(technique, owners(), toys.encrypted_weights)
    held = session.hold(np.zeros(3), at=SERVER, readers=["owner-1"], coordinate_max=1, terms_max=2)
    with pytest.raises(ProtocolError, match="owner-2 may not read"):
        session.call(toys.as_it_is, at="owner-2", inputs={"weights": held}, to=ANALYST)


@pytest.mark.parametrize("technique", ACCUMULATING)
def test_accumulator_takes_as_many_terms_as_it_was_made_for(technique: str) -> None:
    """One more could overflow the plaintext modulus, so it is refused before."""
    with pytest.raises(PlanExceeded, match="terms"):
        run(technique, owners(), toys.one_term_too_many, steps=2)


def test_value_over_its_bound_does_not_enter_an_accumulator() -> None:
    """A value larger than declared would wrap around: refused at its owner."""
    session, _ = opened("he", owners(), toys.encrypted_weights)
    with pytest.raises(OutOfRange):
        session.hold(np.full(3, 9.0), at=SERVER, readers=["owner-1"], coordinate_max=8, terms_max=1)


@pytest.mark.parametrize("into", ["add", "replace"])
def test_call_into_a_party_has_nothing_to_add_to(into: str) -> None:
    """`into` goes with accumulators, and accumulators with `into`."""
    session, _ = opened("cleartext", owners(), toys.encrypted_weights)
    with pytest.raises(UsageError, match="into"):
        session.call(toys.as_it_is, at="owner-1", inputs={}, to=ANALYST, into=cast(Any, into))


@pytest.mark.parametrize("program", [toys.encrypted_weights, toys.travelling_weights])
@pytest.mark.parametrize("technique", ["fl", "dp", "he+dp"])
def test_accumulators_elsewhere_are_gaps(technique: str, program: Program) -> None:
    """Who cannot protect, or cannot guard, an accumulator says so instead of passing it on."""
    found = registry.find_technique(technique)
    plan = program.plan(toys.Settings(steps=2), PUBLIC)
    assert found.gap(program.requires) is not None
    with pytest.raises(Unsupported):
        found.execute(program, Opening(owners(), plan, release=found.release(plan)))


# Owner memory.


@pytest.mark.parametrize("technique", ["cleartext", "he", "fl"])
def test_owner_remembers_between_rounds(technique: str) -> None:
    """Round k adds what changed since round k - 1: the same sum of records each time."""
    shards = owners()
    totals = run(technique, shards, toys.remembering, steps=4).answer["totals"]
    each = np.concatenate([shard["x"] for shard in shards]).sum(0)
    np.testing.assert_allclose(totals, np.tile(each, (4, 1)), atol=1e-6)


@pytest.mark.parametrize("technique", ["he", "fl"])
def test_what_an_owner_remembers_is_never_sent(technique: str) -> None:
    """The value in memory (twice, three times the owner's sum) stands in no message."""
    shards = owners()
    found = run(technique, shards, toys.remembering, steps=3)
    for shard in shards:
        for k in (2, 3):
            kept = (shard["x"].sum(0) * k).astype("<f8").tobytes()
            assert not any(kept in payload for payload in payloads(found))
    # The search itself works: plain federated learning does send the first round's sum.
    sent = shards[0]["x"].sum(0).astype("<f8").tobytes()
    assert any(sent in payload for payload in payloads(found)) == (technique == "fl")


def test_owners_do_not_share_memory() -> None:
    """Two owners with the same records keep their own books."""
    shards = [replace(owners(1)[0], owner=name) for name in ("owner-1", "owner-2")]
    totals = run("fl", shards, toys.remembering, steps=2).answer["totals"]
    np.testing.assert_allclose(totals[1], 2 * shards[0]["x"].sum(0))


# Local operands and labels.


@pytest.mark.parametrize("technique", ACCUMULATING)
def test_product_with_a_local_matrix(technique: str) -> None:
    """Protected records times a matrix at the server equal the plain product."""
    shards = with_server()
    product = run(technique, shards, toys.beside_a_local_matrix).answer["product"]
    np.testing.assert_allclose(product, shards[0]["x"] @ shards[1]["matrix"], atol=1e-5)


def test_local_operand_never_travels() -> None:
    """Under encryption the server's matrix stands in no message, in the clear run it does."""
    needle = with_server()[1]["matrix"].astype("<f8").tobytes()
    encrypted = run("he", with_server(), toys.beside_a_local_matrix)
    assert not any(needle in payload for payload in payloads(encrypted))
    plain = run("cleartext", with_server(), toys.beside_a_local_matrix)
    assert any(needle in payload for payload in payloads(plain))


def test_local_operand_must_lie_beside_the_ciphertexts() -> None:
    """Encrypted records at the server do not multiply with an owner's matrix."""
    session, _ = opened("he", with_server(), toys.beside_a_local_matrix)
    x = session.share("x", owner="owner-1", layout="columns")
    with pytest.raises(ProtocolError, match="not at server"):
        x @ session.local("x", at="owner-1")


def test_local_operand_of_a_stranger_is_refused() -> None:
    """Only parties of the study hold operands."""
    session, _ = opened("cleartext", with_server(), toys.beside_a_local_matrix)
    with pytest.raises(UsageError, match="owner-9"):
        session.local("x", at="owner-9")


@pytest.mark.parametrize("technique", ACCUMULATING)
def test_labels_do_not_mix(technique: str) -> None:
    """Records of two diseases are not added, multiplied or matrix-multiplied."""
    with pytest.raises(ProtocolError, match="do not mix"):
        run(technique, with_server(), toys.mixed_labels)
    session, _ = opened(technique, with_server(), toys.mixed_labels)
    left = session.share("x", owner="owner-1", label="diabetes", layout="columns")
    right = session.share("x", owner="owner-1", label="asthma", layout="columns")
    for operation in (session.add, session.multiply, session.matmul):
        with pytest.raises(ProtocolError, match="do not mix"):
            operation(left, right)


def test_value_over_the_plans_bound_is_not_shared() -> None:
    """A protected value larger than declared would decrypt to garbage."""
    shards = [Shard("owner-1", 1, {"x": np.array([[1.5, 0, 0]])}), with_server()[1]]
    session, _ = opened("he", shards, toys.beside_a_local_matrix)
    with pytest.raises(OutOfRange):
        session.share("x", owner="owner-1", layout="columns")


# A program that runs somewhere else.


class Elsewhere(Technique):
    """Runs a program in another process, which gets names and arrays and nothing else."""

    name = "elsewhere"
    title = "Another process"
    protects = "nothing"
    session = CleartextSession

    def execute(self, program: Program, opening: Opening) -> Run:
        """Send the request through a pipe and read the packed answers."""
        plan = opening.plan
        settings = plan.settings
        head = json.dumps(
            {
                "program": program.qualified_name,
                "settings_kind": qualified_name(type(settings)),
                "settings": asdict(settings),
                "public": {**vars(plan.public), "levels": dict(plan.public.levels)},
                "owners": [(shard.owner, shard.rows) for shard in opening.shards],
                "seed": opening.seed,
            }
        ).encode()
        arrays = {
            f"{shard.owner}/{name}": values
            for shard in opening.shards
            for name, values in shard.arrays.items()
        }
        here = Path(__file__).parent
        done = subprocess.run(
            [sys.executable, str(here / "elsewhere.py")],
            input=b"%d\n" % len(head) + head + wire.pack(arrays),
            env={**os.environ, "PYTHONPATH": str(here)},
            capture_output=True,
            check=True,
        )
        answer = Answer(wire.unpack(done.stdout))
        nothing = Guarantee(kind="none", protects="Nothing.", not_protected="All.")
        return Run(answer, {}, {}, nothing, {}, Transcript())


@pytest.mark.parametrize(("task", "settings"), [("logreg", {}), ("chi2", {}), ("elm", {})])
def test_program_runs_in_another_process(task: str, settings: dict[str, Any]) -> None:
    """Name, settings and arrays are all it takes: the answer is the in-process one."""
    found = registry.find_task(task)
    chosen = found.settings(**settings)
    records = records_of(task, "wdbc", chosen)
    plan = found.programs["sums"].plan(chosen, public_of(records, 2))
    opening = Opening(spread(records, 2), plan, seed=4)
    there = Elsewhere().execute(found.programs["sums"], opening).answer
    here = registry.find_technique("cleartext").execute(found.programs["sums"], opening).answer
    assert there.values.keys() == here.values.keys()
    for name, value in here.values.items():
        np.testing.assert_array_equal(there[name], value)


def test_toy_program_with_accumulators_runs_in_another_process() -> None:
    """Calls and accumulators too."""
    plan = toys.encrypted_weights.plan(toys.Settings(steps=3), PUBLIC)
    there = Elsewhere().execute(toys.encrypted_weights, Opening(owners(), plan)).answer
    here = run("cleartext", owners(), toys.encrypted_weights, steps=3).answer
    np.testing.assert_array_equal(there["weights"], here["weights"])


def test_every_program_can_travel_by_name() -> None:
    """The qualified name of each discovered program leads back to it."""
    for task in registry.tasks().values():
        for program in task.programs.values():
            assert resolve(program.qualified_name) is program


def test_name_that_leads_nowhere_is_refused() -> None:
    """An unknown function is a protocol error, not an import error."""
    for name in ("petlab.tasks.chi2:no_such", "no_such_module:f"):
        with pytest.raises(ProtocolError, match="cannot be imported"):
            resolve(name)


# The plan.


@pytest.mark.parametrize("technique", ["cleartext", "he", "fl", "dp"])
def test_more_releases_than_planned_are_refused(technique: str) -> None:
    """Privacy was budgeted for the plan, so the session opens nothing beyond it."""
    found = registry.find_technique(technique)
    plan = toys.too_many_releases.plan(toys.Settings(steps=1), PUBLIC)
    opening = Opening(owners(), plan, release=found.release(plan))
    with pytest.raises(PlanExceeded, match="2 releases"):
        found.execute(toys.too_many_releases, opening)


@pytest.mark.parametrize("technique", ["cleartext", "he", "fl", "dp"])
def test_undeclared_shape_is_refused(technique: str) -> None:
    """A total of a shape that no one planned is not opened."""
    found = registry.find_technique(technique)
    plan = toys.undeclared_shape.plan(toys.Settings(), PUBLIC)
    opening = Opening(owners(), plan, release=found.release(plan))
    with pytest.raises(PlanExceeded, match="shape"):
        found.execute(toys.undeclared_shape, opening)


def test_function_without_a_name_is_no_contribution() -> None:
    """What travels is a name, so lambdas, closures and methods are refused."""

    def closure(state: Any, shard: Shard, memory: Any) -> Dense:
        return Dense(shard["x"])

    for fn in (lambda state, shard, memory: Dense(shard["x"]), closure, Session.sum):
        with pytest.raises(ProtocolError, match="cannot travel"):
            Contribution(fn=cast(Any, fn), shape=(3,), coordinate_max=1.0)


@pytest.mark.parametrize("bound", [0.0, -1.0, math.inf, math.nan])
def test_contribution_without_a_bound_is_refused(bound: float) -> None:
    """No fixed-point scale follows from a bound that is none."""
    with pytest.raises(UsageError, match="bound"):
        Contribution(fn=toys.rows_of_x, shape=(3,), coordinate_max=bound)


# Dropping one file in.

TASK_FILE = '''
from petlab.core.contribution import Contribution
from petlab.core.ops import Op
from petlab.core.party import ANALYST
from petlab.core.plan import Plan, Public
from petlab.core.claims import Metric
from petlab.core.rows import Cells
from petlab.core.task import Answer, Records, Task, program
from petlab.core.technique import NoSettings

import numpy as np


def plan_counts(settings, public):
    return Plan(settings, public, releases=1, shapes={"counts": (public.classes,)})


def votes(state, shard, memory):
    return Cells(shard["classes"], 2)


@program(requires={Op.SUM}, plan=plan_counts)
def sums(session, plan):
    """Count the records of each class."""
    counted = Contribution(
        fn=votes, shape=(2,), unit_norm=1.0, unit_norm_l1=1.0, coordinate_max=1.0, integer=True
    )
    return Answer({"counts": session.sum(counted, to=ANALYST).value})


class Counting(Task):
    name = "counting"
    title = "Count the classes"
    settings = NoSettings
    programs = {"sums": sums}
    test_share = 0.0

    def encode(self, table, settings):
        public = Public(classes=len(table.card.classes))
        return Records({"classes": table.target}, public, table.target)

    def reference(self, program, train, test, settings):
        return Answer({"counts": np.bincount(train.labels)})

    def score(self, answer, reference, test, settings):
        worst = float(np.abs(answer["counts"] - reference["counts"]).max())
        return {"count_max_error": Metric(worst, 0.0, "lower")}
'''

TECHNIQUE_FILE = """
from petlab.core.technique import Technique
from petlab.techniques.cleartext import CleartextSession


class Postcard(Technique):
    name = "postcard"
    title = "Records on postcards"
    protects = "nothing"
    session = CleartextSession
"""


@pytest.fixture
def dropped_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A task and a technique, each one file in its folder, and found anew."""
    caches = (registry.tasks, registry.techniques, registry.guards)
    for folder, name, text in (
        (tasks, "counting_toy", TASK_FILE),
        (techniques, "postcard_toy", TECHNIQUE_FILE),
    ):
        place = tmp_path / name
        place.mkdir()
        (place / f"{name}.py").write_text(text)
        monkeypatch.setattr(folder, "__path__", [*folder.__path__, str(place)])
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()
    for name in ("petlab.tasks.counting_toy", "petlab.techniques.postcard_toy"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("dropped_in")
@pytest.mark.slow
def test_dropped_in_task_works_under_every_technique() -> None:
    """One file in tasks/: each technique runs it, none was touched."""
    for spec in registry.technique_names():
        result = evaluate(Cell("counting", "sums", spec, "wdbc"))
        assert result.status is Status.OK, (spec, result.reason)
        worst = result.quality["count_max_error"].value
        private = "dp" in spec.split("+")
        assert worst < 60 if private else worst == 0.0
        if not private:
            assert sorted(result.answer["counts"]) == [212, 357]


@pytest.mark.usefixtures("dropped_in")
def test_dropped_in_technique_runs_every_task() -> None:
    """One file in techniques/: each task runs under it, none was touched."""
    assert "postcard" in registry.technique_names()
    for task in ("chi2", "elm", "logreg"):
        result = evaluate(Cell(task, "sums", "postcard", "wdbc"))
        assert result.status is Status.OK, (task, result.reason)
