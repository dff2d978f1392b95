"""SPU behind multiparty computation: the same answers, other parties, and what it says of itself.

Without its environment (`make spu`) only the tests of the missing environment run.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from studies import evaluated
from test_contract import QUICK, crosstab

from petlab.core.party import ANALYST, Shard
from petlab.core.plan import Plan, Public
from petlab.core.session import Opening
from petlab.data.dataset import find_dataset
from petlab.errors import MissingPackage, OutOfRange, ProtocolError
from petlab.metering import wire
from petlab.running.evaluator import evaluate
from petlab.running.result import Cell, Result, Status
from petlab.techniques.mpc import streams
from petlab.techniques.mpc.session import SharedSession
from petlab.techniques.mpc.spu import environment
from petlab.techniques.mpc.spu.traffic import TOGETHER, expanded
from petlab.techniques.mpc.technique import MultipartyComputation, Settings
from petlab.techniques.mpc.traffic.commands import Command
from petlab.techniques.mpc.traffic.hub import Event

REPOSITORY = Path(__file__).parents[1]


def absent() -> str:
    """Why SPU cannot be tested here, or nothing."""
    try:
        environment.interpreter()
    except MissingPackage as error:
        return str(error)
    return ""


needs_spu = pytest.mark.skipif(bool(absent()), reason=absent() or "present")
RNG = np.random.default_rng(3)
REAL, OTHER = RNG.uniform(-4, 4, (6, 3)), RNG.uniform(-2, 2, (6, 3))
WHOLE, DIVISOR = RNG.integers(-5, 6, (6, 3)), RNG.uniform(0.05, 8, (6, 3))
HALF = np.full((3, 2), 0.3)
SCORES = np.exp(REAL)


@pytest.fixture(scope="module")
def session() -> Iterator[SharedSession]:
    """One session for all operations: its parties take seconds to start."""
    opened = study()
    yield opened
    opened.close()


def study(*, record: bool = False) -> SharedSession:
    """An owner with arrays, and three compute parties."""
    arrays = {"real": REAL, "other": OTHER, "whole": WHOLE, "divisor": DIVISOR}
    shapes = {str(shape): shape for shape in ((6, 3), (6, 2), (3, 3), (3, 6), (12, 3), (6, 1))}
    plan = Plan(None, Public(), releases=80, value_max=8.0, shapes=shapes)
    technique = MultipartyComputation(Settings(engine="spu"))
    found = technique.open(Opening([Shard("owner-1", 6, arrays)], plan, record=record))
    assert isinstance(found, SharedSession)
    return found


def held(session: SharedSession, *names: str) -> list[Any]:
    """The owner's arrays on shares."""
    return [session.share(name, owner="owner-1") for name in names]


def opened(session: SharedSession, value: Any) -> np.ndarray:
    """What the analyst reads."""
    return np.asarray(session.reveal(value, to=ANALYST))


@needs_spu
@pytest.mark.slow
@pytest.mark.parametrize(
    ("compute", "expected"),
    [
        pytest.param(lambda s, x, y, n: x + y, REAL + OTHER, id="add"),
        pytest.param(lambda s, x, y, n: x + n, REAL + WHOLE, id="add mixed"),
        pytest.param(lambda s, x, y, n: x + 0.5, REAL + 0.5, id="add public"),
        pytest.param(lambda s, x, y, n: n + 0.5, WHOLE + 0.5, id="whole and public fraction"),
        pytest.param(lambda s, x, y, n: x * (1 / 569), REAL / 569, id="scale"),
        pytest.param(lambda s, x, y, n: x * -3.0, REAL * -3, id="scale by whole"),
        pytest.param(lambda s, x, y, n: x * y, REAL * OTHER, id="multiply"),
        pytest.param(lambda s, x, y, n: x * n, REAL * WHOLE, id="multiply mixed"),
        pytest.param(lambda s, x, y, n: x.T @ y, REAL.T @ OTHER, id="matmul"),
        pytest.param(lambda s, x, y, n: x @ HALF, REAL @ HALF, id="matmul public"),
        pytest.param(lambda s, x, y, n: s.square(x), REAL**2, id="square"),
        pytest.param(lambda s, x, y, n: s.stack([x, n]), np.vstack([REAL, WHOLE]), id="stack"),
        pytest.param(lambda s, x, y, n: s.total(x, axis=1), REAL.sum(1, keepdims=True), id="total"),
        pytest.param(lambda s, x, y, n: x * s.positive(x), np.maximum(REAL, 0), id="rectify"),
        pytest.param(
            lambda s, x, y, n: s.stack([s.positive(x), y]), np.vstack([REAL > 0, OTHER]), id="bits"
        ),
    ],
)
def test_arithmetic_is_numpys_but_for_the_last_bits(
    session: SharedSession, compute: Any, expected: np.ndarray
) -> None:
    """Each rounding is off by one unit of 2^-20 at most, times what it is multiplied by."""
    found = opened(session, compute(session, *held(session, "real", "other", "whole")))
    np.testing.assert_allclose(found, expected, atol=40 * 2.0**-20)


@needs_spu
@pytest.mark.slow
@pytest.mark.parametrize(
    ("compute", "expected"),
    [
        pytest.param(lambda s, n: n + 2, WHOLE + 2, id="add"),
        pytest.param(lambda s, n: n * 3, WHOLE * 3, id="scale"),
        pytest.param(lambda s, n: n.T @ n, WHOLE.T @ WHOLE, id="matmul"),
        pytest.param(lambda s, n: n[np.array([2, 0])], WHOLE[[2, 0]], id="take"),
        pytest.param(lambda s, n: s.positive(n) * s.positive(n), WHOLE > 0, id="positive"),
    ],
)
def test_whole_numbers_are_exact(
    session: SharedSession, compute: Any, expected: np.ndarray
) -> None:
    """Counts stay counts."""
    if expected.shape == (2, 3):
        session.plan.shapes["rows"] = (2, 3)
    found = opened(session, compute(session, *held(session, "whole")))
    np.testing.assert_array_equal(found, expected)


@needs_spu
@pytest.mark.slow
@pytest.mark.parametrize(
    ("compute", "expected"),
    [
        pytest.param(lambda s, x, p: s.exp(x, low=-4, high=4), np.exp(REAL), id="exp"),
        pytest.param(lambda s, x, p: s.reciprocal(p, low=0.05, high=8), 1 / DIVISOR, id="1/x"),
        pytest.param(lambda s, x, p: s.inv_sqrt(p, low=0.05, high=8), DIVISOR**-0.5, id="rsqrt"),
        pytest.param(lambda s, x, p: s.sigmoid(x, bound=4), 1 / (1 + np.exp(-REAL)), id="sigmoid"),
        pytest.param(
            lambda s, x, p: s.softmax(x, bound=4), SCORES / SCORES.sum(1)[:, None], id="softmax"
        ),
    ],
)
def test_functions_are_within_the_promised_accuracy(
    session: SharedSession, compute: Any, expected: np.ndarray
) -> None:
    """One per cent of the value, plus 2^-12: as with CrypTen."""
    found = opened(session, compute(session, *held(session, "real", "divisor")))
    np.testing.assert_allclose(found, expected, rtol=0.01, atol=2.0**-12)


@needs_spu
@pytest.mark.slow
@pytest.mark.parametrize(
    "compute",
    [
        pytest.param(lambda s, x: s.exp(x, low=-1, high=1), id="range"),
        pytest.param(lambda s, x: s.bounded(x, bound=1.0), id="bound"),
        pytest.param(lambda s, x: (x * 1024.0).square(), id="product past the ring"),
    ],
)
def test_values_outside_their_range_are_refused(compute: Any) -> None:
    """What was in range is opened, and nothing once a value was not."""
    found = study()
    try:
        (real,) = held(found, "real")
        opened(found, found.exp(real, low=-4, high=4))
        opened(found, (real * 64.0).square())
        for _ in range(2):
            with pytest.raises(OutOfRange, match="left the range"):
                opened(found, compute(found, real))
    finally:
        found.close()


@needs_spu
@pytest.mark.slow
def test_a_party_never_receives_more_than_two_shares_from_petlab() -> None:
    """Its own from the owner, one from the next party; the two look random without the third."""
    found = study(record=True)
    try:
        (real,) = held(found, "real")
        opened(found, real)
        views = found.committee.views
        assert set(views) == {"party-1", "party-2", "party-3"}
        for view in views.values():
            commands = [Command.unpack(m) for _, label, m in view if label == "command"]
            (own,) = (c.expanded().arrays["share"] for c in commands if c.name == "share")
            (passed,) = (m for _, label, m in view if label == "resharing")
            theirs = streams.expanded(wire.unpack(passed)["share"], own.shape)
            for known in (own, theirs, own + theirs):
                assert np.abs(known.astype(float)).min() > 2.0**40  # REAL is below 2^22
    finally:
        found.close()


@needs_spu
@pytest.mark.slow
def test_spus_own_traffic_is_counted() -> None:
    """Megabytes for a product of large arrays, and rounds for a comparison."""
    found = study()
    try:
        real, other = held(found, "real", "other")
        opened(found, real)
        before, rounds = found.transcript.bytes, found.transcript.rounds
        opened(found, real)
        alone = found.transcript.bytes - before, found.transcript.rounds - rounds
        before, rounds = found.transcript.bytes, found.transcript.rounds
        opened(found, real * found.positive(other))
        # Each of three parties sends at least six 64-bit words for each of 18 numbers.
        assert found.transcript.bytes - before > alone[0] + 3 * 6 * 8 * 18
        assert found.transcript.rounds - rounds >= alone[1] + 8
        sent = {(m.sender, m.receiver) for m in found.transcript.messages if m.label == "positive"}
        assert sent == {
            ("party-1", "party-3"),
            ("party-2", "party-1"),
            ("party-3", "party-2"),
        }
    finally:
        found.close()


@needs_spu
@pytest.mark.slow
def test_killed_party_is_noticed_within_seconds() -> None:
    """The others do not wait for SPU's own patience to end."""
    found = study()
    try:
        (real,) = held(found, "real")
        opened(found, real)
        subprocess.run(["kill", "-9", str(found.committee.cluster.pids["party-2"])], check=True)
        started = time.monotonic()
        with pytest.raises(ProtocolError):
            opened(found, found.sigmoid(real, bound=4))
        assert time.monotonic() - started < 15
    finally:
        found.close()


@needs_spu
@pytest.mark.slow
def test_linked_counts_are_exact_and_no_dealer_is_trusted() -> None:
    """Equal pandas', and the guarantee says how many parties may collude."""
    result = spu("chi2", "linked")
    assert result.status is Status.OK, result.reason
    np.testing.assert_array_equal(result.answer["table"], crosstab(find_dataset("heart").card))
    assert result.guarantee is not None
    assert result.guarantee.trusted == ()
    assert "one of 3" in result.guarantee.adversary
    assert "Two compute parties together open every input" in result.guarantee.not_protected
    assert "ABY3" in result.guarantee.mechanism
    assert "TLS" in result.guarantee.mechanism


@needs_spu
@pytest.mark.slow
def test_sums_use_no_spu_and_say_so() -> None:
    """Additive shares alone: two of three may collude."""
    result = spu("logreg", "sums")
    assert result.status is Status.OK, result.reason
    assert result.guarantee is not None
    assert "up to 2 of 3" in result.guarantee.adversary
    assert "SPU" not in result.guarantee.mechanism


@needs_spu
@pytest.mark.slow
@pytest.mark.parametrize("task", ["elm", "logreg", "deep"])
def test_outsourced_training_is_as_good_as_with_crypten(task: str) -> None:
    """AUC within .005 of plain training."""
    result = spu(task, "outsourced")
    assert result.status is Status.OK, result.reason
    auc = result.quality["auc"]
    assert auc.reference > 0.6
    assert auc.value == pytest.approx(auc.reference, abs=0.005 if task != "deep" else 0.02)


def spu(task: str, program: str) -> Result:
    """Result of a cell on heart."""
    chosen = {**QUICK.get((task, program), {}), "engine": "spu"}
    return evaluated(Cell(task, program, "mpc", "heart", settings=chosen))


def test_missing_environment_is_a_row_with_the_line_that_makes_it(tmp_path: Path) -> None:
    """Nothing else happens: no party starts."""
    nowhere = tmp_path / "bin" / "python"
    chosen = {"engine": "spu", "spu_python": str(nowhere)}
    result = evaluate(Cell("chi2", "linked", "mpc", "heart", settings=chosen))
    assert result.status is Status.MISSING_PACKAGE
    assert result.reason is not None
    assert str(nowhere) in result.reason
    assert f"make -C {REPOSITORY} spu" in result.reason


def test_an_environment_without_spu_is_not_taken_for_one() -> None:
    """This interpreter exists, but numpy is too new here for SPU."""
    with pytest.raises(MissingPackage, match=environment.VERSION):
        environment.interpreter(sys.executable)


def test_work_done_together_becomes_as_many_rounds_as_the_busiest_party_had() -> None:
    """All bytes are there, each message from a party to the previous one."""
    names = ("party-1", "party-2", "party-3")
    sizes, actions = (100, 90, 11), (2, 3, 1)
    logs = {
        name: [Event(TOGETHER, "", "multiply", size, 0.1, count)]
        for name, size, count in zip(names, sizes, actions, strict=True)
    }
    found = expanded(logs)
    for k, name in enumerate(names):
        sent = [event for event in found[name] if event.kind == "send"]
        assert [event.peer for event in sent] == [names[k - 1]] * 3
        assert sum(event.size for event in sent) == sizes[k]
        assert [e.peer for e in found[name] if e.kind == "recv"] == [names[(k + 1) % 3]] * 3


def test_parties_that_did_different_things_are_refused() -> None:
    """A log without the others' command is a fault, not a rounding."""
    together = Event(TOGETHER, "", "multiply", 8, 0.1, 1)
    with pytest.raises(ProtocolError, match="do not fit together"):
        expanded({"party-1": [together], "party-2": [], "party-3": [together]})
