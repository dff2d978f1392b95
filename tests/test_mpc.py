"""Multiparty computation: exact where it says so, and nobody sees more than it should."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mpc_parties import (
    UNIT,
    Nursery,
    Study,
    Table,
    alive,
    fixed,
    free_address,
    in_parallel,
    nursery,
    uniformity,
    wait_until,
)
from scipy import special
from studies import public_of, records_of, spread

from petlab.core.arrays import Protected
from petlab.core.contribution import Contribution
from petlab.core.ops import Op
from petlab.core.party import ANALYST, DEALER, Shard
from petlab.core.plan import Plan, Public
from petlab.core.rows import OwnerTotal
from petlab.core.session import Opening
from petlab.core.task import Answer, program
from petlab.errors import OutOfRange, ProtocolError, UsageError
from petlab.metering.transcript import Transcript
from petlab.running import registry
from petlab.techniques.cleartext import CleartextSession
from petlab.techniques.mpc.cluster import Cluster
from petlab.techniques.mpc.crypten import compat
from petlab.techniques.mpc.crypten.ring import Ring, Shared
from petlab.techniques.mpc.crypten.tuples import Dealer, Tuples
from petlab.techniques.mpc.session import SharedSession
from petlab.techniques.mpc.streams import Stream, expanded, joined, split
from petlab.techniques.mpc.technique import MultipartyComputation
from petlab.techniques.mpc.traffic.commands import Command
from petlab.techniques.mpc.traffic.hub import Event
from petlab.techniques.mpc.traffic.replay import Replay

pytestmark = pytest.mark.slow

UNLIKELY = 1e-6
RNG = np.random.default_rng(5)
EXTREMES = np.array([0, 1, -1, 2**63 - 1, -(2**63), 2**62, -(2**62), 1 << 20], np.int64)


@pytest.fixture(scope="module")
def parties() -> Iterator[Nursery]:
    """Where compute parties come from."""
    with nursery() as found:
        yield found


@pytest.fixture(scope="module")
def pair(parties: Nursery) -> Iterator[Study]:
    """Two compute parties and a dealer."""
    study = Study(parties.cluster(2))
    yield study
    study.close()


@pytest.fixture(scope="module")
def trio(parties: Nursery) -> Iterator[Study]:
    """Three compute parties and a dealer."""
    study = Study(parties.cluster(3))
    yield study
    study.close()


@pytest.fixture(scope="module", params=["pair", "trio"])
def study(request: pytest.FixtureRequest) -> Study:
    """Either of them."""
    return request.getfixturevalue(request.param)


def uniform(*shape: int, most: float = 2.0) -> np.ndarray:
    """Real numbers of at most so much in magnitude."""
    return RNG.uniform(-most, most, shape)


def on_grid(values: Any) -> np.ndarray:
    """The nearest numbers that a share can hold."""
    return np.rint(np.asarray(values) / UNIT) * UNIT


# Streams and shares.


def shares_of(values: np.ndarray, count: int) -> list[np.ndarray]:
    """Whole shares, as the parties make them of what they are sent."""
    return [expanded(share, values.shape) for share in split(values, count)]


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("value", [0, 1, -(2**63), 2**63 - 1])
def test_all_but_one_share_are_uniform(count: int, value: int) -> None:
    """Whatever is shared, any W - 1 shares and all their combinations look random."""
    shares = shares_of(np.full(50_000, value, np.int64), count)
    for known in itertools.combinations(shares, count - 1):
        views = list(known)
        with np.errstate(over="ignore"):
            views += [known[0] + s for s in known[1:]] + [known[0] - s for s in known[1:]]
        assert all(uniformity(view) > UNLIKELY for view in views)
    assert uniformity(joined(shares)) < UNLIKELY  # the test can fail


@given(
    values=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20),
    count=st.sampled_from([2, 3]),
)
def test_shares_add_up_exactly_modulo_the_ring(values: list[int], count: int) -> None:
    """No value of 64 bits is lost, the extreme ones included."""
    array = np.array([*values, *EXTREMES], np.int64)
    np.testing.assert_array_equal(joined(shares_of(array, count)), array)


def test_all_but_one_share_travel_as_keys() -> None:
    """Of 32 bytes, fresh for every array."""
    sent = [split(np.zeros((40, 50), np.int64), 3) for _ in range(2)]
    assert [share.nbytes for share in sent[0]] == [8 * 2000, 32, 32]
    keys = {share.tobytes() for shares in sent for share in shares[1:]}
    assert len(keys) == 4


def test_streams_repeat_for_their_key_only() -> None:
    """Whoever has the key draws the same words, in the same order, and nobody else does."""
    key = os.urandom(32)
    first, again, other = Stream(key), Stream(key), Stream()
    drawn = [first.words((3, 4)), first.words((2,))]
    np.testing.assert_array_equal(drawn[0], again.words((3, 4)))
    np.testing.assert_array_equal(drawn[1], again.words((2,)))
    assert not np.any(drawn[0] == other.words((3, 4)))
    assert uniformity(first.words((50_000,))) > UNLIKELY


# CrypTen, repaired.

DECODE = """
import torch
from petlab.techniques.mpc.crypten import compat
compat._stand_in_for_onnx_registration()
from crypten.encoder import FixedPointEncoder
encoder = FixedPointEncoder(precision_bits=16)
integers = -torch.arange(1, 1 << 24, 997)
exact = integers.double() / (1 << 16)
error = (encoder.decode(integers).double() - exact).abs().max().item()
FixedPointEncoder.decode = compat._decode
print(error, (encoder.decode(integers).double() - exact).abs().max().item())
"""


def test_decoder_of_crypten_is_repaired() -> None:
    """As released it is off by one for some negative numbers; here it only rounds to float32."""
    done = subprocess.run([sys.executable, "-c", DECODE], capture_output=True, text=True)
    released, repaired = map(float, done.stdout.split())
    assert released > 0.9
    assert repaired < 256 * 2.0**-24
    compat.load()
    from crypten.encoder import FixedPointEncoder

    assert FixedPointEncoder.decode is compat._decode  # as the parties have it


# Truncation and tuples, with all parties in this process.


def at_every_party(count: int, work: Callable[[Ring, Any], Any], shares: Any) -> list[Any]:
    """What each party's ring makes of its share, over a table instead of a network."""
    table, keys = Table(count), [os.urandom(32) for _ in range(count)]
    dealer = Dealer([Stream(key) for key in keys])
    rings = [
        Ring(k, Tuples(k, Stream(keys[k]), dealer.corrections), table.seat(k)) for k in range(count)
    ]
    found = in_parallel(
        *(lambda k=k: work(rings[k], shares[k]) for k in range(count))  # type: ignore[misc]
    )
    for value in found:
        if isinstance(value, Exception):
            raise value
    return found


def wide(count: int) -> np.ndarray:
    """Integers of all magnitudes up to 2^61, and the extreme ones."""
    flat = RNG.integers(-(2**61) + 1, 2**61, count // 2)
    steep = np.sign(flat) * np.exp2(RNG.uniform(0, 61, len(flat))).astype(np.int64)
    edges = [0, 1, -1, 2**61 - 1, -(2**61) + 1, 2**40, -(2**40)]
    return np.concatenate([flat, np.clip(steep, -(2**61) + 1, 2**61 - 1), edges]).astype(np.int64)


def off_by(values: np.ndarray, truncated: np.ndarray, bits: int) -> int:
    """Largest distance to the exact quotient's neighbours, in last places."""
    above = truncated - (values >> bits)
    return int(max(-above.min(), above.max() - 1))


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("bits", [1, 10, 20, 30, 40])
def test_truncation_is_never_off_by_more_than_a_last_place(count: int, bits: int) -> None:
    """A hundred thousand values a case, a million together, over all that may be truncated."""
    import torch

    values = wide(100_000)

    def work(ring: Ring, share: np.ndarray) -> np.ndarray:
        return ring.truncate(Shared(torch.from_numpy(share.copy()), 40), bits).share.numpy()

    shares = shares_of(values, count)
    truncated = joined(at_every_party(count, work, shares))
    assert off_by(values, truncated, bits) == 0
    # Rounded up as often as the fraction says: no drift.
    error = np.ldexp((truncated - (values >> bits)).astype(float), bits)
    error -= values & ((1 << bits) - 1)
    assert abs(np.ldexp(error.mean(), -bits)) < 0.01


def test_truncation_of_crypten_fails_the_same_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dividing shares locally, as CrypTen does, is wrong by 2^44 for some values."""
    import torch

    compat.load()
    import crypten.communicator
    from crypten.mpc.primitives import ArithmeticSharedTensor

    class Two:
        def get_world_size(self) -> int:
            return 2

    monkeypatch.setattr(crypten.communicator, "get", Two)
    values = wide(100_000)
    truncated = []
    for share in shares_of(values, 2):
        tensor = ArithmeticSharedTensor.from_shares(torch.from_numpy(share.copy()), precision=0)
        truncated.append(tensor.div_(1 << 20).share.numpy())
    assert off_by(values, joined(truncated), 20) > 2**40


def dealt(count: int, make: Callable[[Tuples], Any]) -> tuple[list[list[np.ndarray]], list[Any]]:
    """One tuple's shares, by element and party, and the corrections of rank 0."""
    compat.load()
    keys, sent = [os.urandom(32) for _ in range(count)], []
    dealer = Dealer([Stream(key) for key in keys])

    def ask(kind: str, *arguments: Any) -> list[Any]:
        found = dealer.corrections(kind, *arguments)
        sent.extend(value.numpy() for value in found)
        return found

    made = [make(Tuples(k, Stream(keys[k]), ask)) for k in range(count)]
    shares = [
        [getattr(v, "share", v).numpy() for v in element] for element in zip(*made, strict=True)
    ]
    return shares, sent


def xored(shares: list[np.ndarray]) -> np.ndarray:
    """Shares under exclusive or, joined."""
    return np.bitwise_xor.reduce(shares)


@pytest.mark.parametrize("count", [2, 3])
def test_tuples_are_consistent(count: int) -> None:
    """Every kind that the dealer makes fulfils its equation, for shapes that broadcast too."""
    with np.errstate(over="ignore"):
        (a, b, c), _ = dealt(count, lambda t: t.generate_additive_triple((7, 5), (1, 5), "mul"))
        np.testing.assert_array_equal(joined(c), joined(a) * joined(b))
        (a, b, c), _ = dealt(count, lambda t: t.generate_additive_triple((7, 5), (5, 3), "matmul"))
        np.testing.assert_array_equal(joined(c), joined(a) @ joined(b))
        (r, r2), _ = dealt(count, lambda t: t.square((7, 5)))
        np.testing.assert_array_equal(joined(r2), joined(r) * joined(r))
    (a, b, c), _ = dealt(count, lambda t: t.generate_binary_triple((7, 5), (7, 1)))
    np.testing.assert_array_equal(xored(c), xored(a) & xored(b))
    (added, bit), _ = dealt(count, lambda t: t.B2A_rng((1000,)))
    np.testing.assert_array_equal(joined(added), xored(bit))
    assert 350 < joined(added).sum() < 650
    assert set(np.unique(joined(added))) == {0, 1}
    (r, high, top), _ = dealt(count, lambda t: t.truncation((1000,), 20))
    whole = joined(r).view(np.uint64)
    np.testing.assert_array_equal(joined(high).view(np.uint64), whole >> np.uint64(20))
    np.testing.assert_array_equal(joined(top).view(np.uint64), whole >> np.uint64(63))


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize(
    "make",
    [
        lambda t: t.generate_additive_triple((100, 500), (100, 500), "mul"),
        lambda t: t.generate_additive_triple((300, 20), (20, 200), "matmul"),
        lambda t: t.generate_binary_triple((100, 500), (100, 500)),
        lambda t: t.square((50_000,)),
        lambda t: t.B2A_rng((50_000,)),
        lambda t: t.truncation((50_000,), 20),
    ],
    ids=["mul", "matmul", "binary", "square", "bits", "truncation"],
)
def test_corrections_show_rank_0_nothing(count: int, make: Callable[[Tuples], Any]) -> None:
    """What the dealer sends is uniform, and so is each share of a tuple but for single bits."""
    elements, sent = dealt(count, make)
    assert sent
    assert all(uniformity(values) > UNLIKELY for values in sent)
    for shares in elements:
        if not set(np.unique(shares[0])) <= {0, 1}:
            assert all(uniformity(share) > UNLIKELY for share in shares)


# Arithmetic, against numpy.


def test_arithmetic_is_numpys(study: Study) -> None:
    """+ - * @ with public, protected and local operands, and every rearrangement."""
    a, b, m, row, column = (on_grid(uniform(*s)) for s in ((6, 4), (6, 4), (4, 3), (4,), (6, 1)))
    x, y, w = study.share(a), study.share(b, owner="owner-2"), study.share(m)
    session = study.session
    pairs: dict[str, tuple[Protected, Any]] = {
        "x": (x, a),
        "x + y": (x + y, a + b),
        "x + public": (x + b, a + b),
        "row + x": (row + x, row + a),
        "x + local": (x + study.local(row), a + row),
        "x + y[:1]": (x + y[:1], a + b[:1]),
        "x - y": (x - y, a - b),
        "1 - x": (1 - x, 1 - a),
        "x * y": (x * y, a * b),
        "x * y[:1]": (x * y[:1], a * b[:1]),
        "x * column": (x * study.share(column), a * column),
        "0.3 * x": (0.3 * x, 0.3 * a),
        "-3 * x": (-3 * x, -3 * a),
        "1e-4 * x": (1e-4 * x, 1e-4 * a),
        "x * row": (x * row, a * row),
        "x @ w": (x @ w, a @ m),
        "x @ public": (x @ m, a @ m),
        "x @ whole": (x @ np.rint(m), a @ np.rint(m)),
        "public @ w": (a @ w, a @ m),
        "x @ local": (x @ study.local(m), a @ m),
        "x.T": (x.T, a.T),
        "x.T @ y": (x.T @ y, a.T @ b),
        "x.square()": (x.square(), a**2),
        "x[1:4]": (x[1:4], a[1:4]),
        "x[[5, 0, 5]]": (x[np.array([5, 0, 5])], a[[5, 0, 5]]),
        "stack": (session.stack([x, y, x]), np.concatenate([a, b, a])),
        "total rows": (session.total(x, axis=0), a.sum(0, keepdims=True)),
        "total columns": (session.total(x, axis=1), a.sum(1, keepdims=True)),
        "positive": (session.positive(x), (a > 0).astype(float)),
        "relu": (session.relu(x), np.maximum(a, 0)),
    }
    for text, (ours, exact) in pairs.items():
        found = study.read(ours)
        assert found.shape == exact.shape == ours.shape, text
        np.testing.assert_allclose(found, exact, atol=12 * UNIT, rtol=0, err_msg=text)


def test_whole_numbers_stay_exact(study: Study) -> None:
    """Integers are neither scaled nor truncated, whatever is done with them."""
    a, b, m = (RNG.integers(-(2**20), 2**20, s) for s in ((6, 4), (6, 4), (4, 3)))
    x, y, w = study.share(a), study.share(b), study.share(m)
    pairs: dict[str, tuple[Protected, np.ndarray]] = {
        "x + y": (x + y, a + b),
        "x - 7": (x - 7, a - 7),
        "x * y": (x * y, a * b),
        "3 * x": (3 * x, 3 * a),
        "x @ w": (x @ w, a @ m),
        "x @ public": (x @ m, a @ m),
        "square": (x.square(), a**2),
        "positive": (study.session.positive(x), a > 0),
        "relu": (study.session.relu(x), np.maximum(a, 0)),
        "total": (study.session.total(x * y, axis=0), (a * b).sum(0, keepdims=True)),
    }
    for text, (ours, exact) in pairs.items():
        np.testing.assert_array_equal(study.read(ours), exact, err_msg=text)


def test_whole_and_real_numbers_mix(study: Study) -> None:
    """Each operation keeps the fraction bits that its result needs."""
    a, k = on_grid(uniform(5, 3)), RNG.integers(-9, 9, (5, 3))
    x, n = study.share(a), study.share(k)
    pairs: dict[str, tuple[Protected, np.ndarray]] = {
        "x + n": (x + n, a + k),
        "n + x": (n + x, k + a),
        "x * n": (x * n, a * k),
        "n @ x.T": (n @ x.T, k @ a.T),
        "n + 0.25": (n + 0.25, k + 0.25),
        "n * 0.37": (n * 0.37, k * 0.37),
        "n @ public": (n @ a.T, k @ a.T),
        "stack": (study.session.stack([n, x]), np.concatenate([k, a])),
        "mask": (study.session.positive(x) * n, (a > 0) * k),
    }
    for text, (ours, exact) in pairs.items():
        np.testing.assert_allclose(study.read(ours), exact, atol=12 * UNIT, rtol=0, err_msg=text)


@given(seed=st.integers(0, 2**32), power=st.integers(0, 19))
@settings(max_examples=12)
def test_products_hold_over_the_whole_range(pair: Study, seed: int, power: int) -> None:
    """Of factors of any magnitude whose product the ring holds, signs included."""
    rng = np.random.default_rng(seed)
    a = on_grid(rng.uniform(-1, 1, 500) * 2.0**power)
    b = on_grid(rng.uniform(-1, 1, 500) * 2.0 ** (20 - power))
    found = pair.read(pair.share(a) * pair.share(b))
    np.testing.assert_allclose(found, a * b, atol=UNIT, rtol=0)


@given(
    seed=st.integers(0, 2**32),
    power=st.integers(3, 20),
    past=st.floats(1.5, 2.0**20),
    terms=st.integers(1, 40),
)
@settings(max_examples=20)
def test_product_that_the_ring_cannot_hold_is_refused(
    study: Study, seed: int, power: int, past: float, terms: int
) -> None:
    """One sum of products past the limit among many small ones, also where it would wrap."""
    rng = np.random.default_rng(seed)
    large = min(2.0**20, 2.0**21 * past / terms / 2.0**power)
    assume(large * 2.0**power * terms > 1.3 * 2.0**21)
    a, b = rng.uniform(-1, 1, (6, terms)), rng.uniform(-1, 1, (terms, 5))
    a[2], b[:, 3] = 2.0**power, -large
    found = study.share(a) @ study.share(b)
    with pytest.raises(OutOfRange, match="left the range"):
        study.read(found)
    study.session.committee._refused = False


def test_wrapped_product_that_falls_back_into_a_range_is_refused(study: Study) -> None:
    """2^24 as a product of reals is zero in the ring: nothing else would notice."""
    x = study.share(np.array([[2.0**12]]))
    with pytest.raises(OutOfRange, match="left the range"):
        study.read(x.square() * 0.0 + 1.0)
    study.session.committee._refused = False


def test_growing_values_are_noticed_before_they_wrap(study: Study) -> None:
    """Doubling, adding up and multiplying whole numbers, past every limit."""
    for step in (lambda v: v + v, lambda v: v * 1024.0, lambda v: v @ np.full((1, 1), 3.7)):
        value = study.share(np.array([[1.5]]))
        for _ in range(80):
            value = step(value)
        with pytest.raises(OutOfRange, match="left the range"):
            study.read(value)
        study.session.committee._refused = False
    value = study.share(np.array([[1 << 20]]))
    for _ in range(3):
        value = value * value
    with pytest.raises(OutOfRange, match="left the range"):
        study.read(value)
    study.session.committee._refused = False


def test_small_values_with_wide_bounds_are_not_refused(study: Study) -> None:
    """The public bound allows a wrap at every step, the values stay small."""
    a = np.array([[0.5, -0.25], [0.125, 0.75]])
    value, exact = study.share(a), a
    for _ in range(12):
        value, exact = value @ value * 0.5 + 0.25, exact @ exact * 0.5 + 0.25
    np.testing.assert_allclose(study.read(value), exact, atol=1e-3)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=5)
def test_comparison_is_exact_next_to_zero_and_far_from_it(study: Study, seed: int) -> None:
    """The sign of every value that a share can hold, the last places included."""
    rng = np.random.default_rng(seed)
    near = np.arange(-20, 21) * UNIT
    far = on_grid(rng.uniform(-(2.0**20), 2.0**20, 500))
    values = np.concatenate([near, far, [2.0**20, -(2.0**20)]])
    found = study.read(study.session.positive(study.share(values)))
    np.testing.assert_array_equal(found, values > 0)


# Approximated functions: 1 % of the value plus 2^-12 over the declared range.


def accurate(study: Study, name: str, x: np.ndarray, exact: np.ndarray, **declared: float) -> None:
    """Check a function of the session on values of its declared range."""
    found = study.read(getattr(study.session, name)(study.share(x), **declared))
    allowed = 0.01 * np.abs(exact) + 2.0**-12
    worst = np.argmax(np.abs(found - exact) / allowed)
    assert np.all(np.abs(found - exact) <= allowed), (
        name,
        declared,
        x.flat[worst],
        found.flat[worst],
    )


def inside(low: float, high: float, seed: int) -> np.ndarray:
    """Values of a range: its ends, evenly spread, and (if positive) over all magnitudes."""
    rng = np.random.default_rng(seed)
    found = [np.array([low, high]), rng.uniform(low, high, 400)]
    if low > 0:
        found.append(np.exp(rng.uniform(np.log(low), np.log(high), 400)))
    if low < 0 < high:
        found.append(rng.uniform(max(low, -0.01), min(high, 0.01), 100))
    # Nothing that rounds to outside of the range.
    return np.clip(
        on_grid(np.concatenate(found)), np.ceil(low / UNIT) * UNIT, np.floor(high / UNIT) * UNIT
    )


seeds = st.integers(0, 2**32)


@pytest.mark.parametrize("low", [-1024.0, -16.0, -0.001])
@pytest.mark.parametrize("high", [0.0, 4.0, 13.8])
def test_exp_at_the_ends_of_what_may_be_declared(pair: Study, low: float, high: float) -> None:
    """The widest ranges, the narrowest, and those that end at zero."""
    x = inside(low, high, 3)
    accurate(pair, "exp", x, np.exp(x), low=low, high=high)


@given(seed=seeds, low=st.floats(-1024, 13), width=st.floats(0.01, 1037))
@settings(max_examples=7)
def test_exp_is_accurate(study: Study, seed: int, low: float, width: float) -> None:
    """On any declared range."""
    high = min(low + width, 13.8)
    x = inside(low, high, seed)
    accurate(study, "exp", x, np.exp(x), low=low, high=high)


@pytest.mark.parametrize(
    ("low", "high"),
    [(2.0**-12, 2.0**14), (1.0, 2.0**14), (2.0**-12, 1.0), (2.0**13, 2.0**14), (0.999, 1.0)],
)
def test_reciprocal_at_the_ends_of_what_may_be_declared(
    pair: Study, low: float, high: float
) -> None:
    """Wide ranges did not converge once: rounding threw large operands below zero."""
    x = inside(low, high, 3)
    accurate(pair, "reciprocal", x, 1 / x, low=low, high=high)


@given(seed=seeds, low=st.floats(-12, 13.9), width=st.floats(0.01, 26))
@settings(max_examples=7)
def test_reciprocal_is_accurate(study: Study, seed: int, low: float, width: float) -> None:
    """On any declared range, the ends given as powers of two."""
    ends = 2.0**low, 2.0 ** min(low + width, 14)
    x = inside(*ends, seed)
    accurate(study, "reciprocal", x, 1 / x, low=ends[0], high=ends[1])


@pytest.mark.parametrize(
    ("low", "high"),
    [(2.0**-12, 2.0**20), (1.0, 2.0**20), (2.0**-12, 2.0**-11), (2.0**19, 2.0**20)],
)
def test_inv_sqrt_at_the_ends_of_what_may_be_declared(pair: Study, low: float, high: float) -> None:
    """Thirty-two powers of two is the widest range."""
    x = inside(low, high, 3)
    accurate(pair, "inv_sqrt", x, x**-0.5, low=low, high=high)


@given(seed=seeds, low=st.floats(-12, 19.9), width=st.floats(0.01, 32))
@settings(max_examples=7)
def test_inv_sqrt_is_accurate(study: Study, seed: int, low: float, width: float) -> None:
    """On any declared range, the ends given as powers of two."""
    ends = 2.0**low, 2.0 ** min(low + width, 20)
    x = inside(*ends, seed)
    accurate(study, "inv_sqrt", x, x**-0.5, low=ends[0], high=ends[1])


@given(seed=seeds, bound=st.sampled_from([0.01, 1.0, 16.0, 64.0, 1024.0]) | st.floats(0.1, 1024))
@settings(max_examples=7)
def test_sigmoid_is_accurate(study: Study, seed: int, bound: float) -> None:
    """For any declared bound, near zero and at the bound."""
    x = np.concatenate([inside(-bound, bound, seed), inside(-min(bound, 8), min(bound, 8), seed)])
    accurate(study, "sigmoid", x, special.expit(x), bound=bound)


@given(
    seed=seeds,
    bound=st.sampled_from([1.0, 64.0, 512.0]) | st.floats(0.1, 512),
    columns=st.sampled_from([1, 2, 3, 10, 101]),
)
@settings(max_examples=7)
def test_softmax_is_accurate(study: Study, seed: int, bound: float, columns: int) -> None:
    """For any declared bound and number of classes, for close scores and distant ones."""
    rng = np.random.default_rng(seed)
    close = rng.uniform(-min(bound, 3), min(bound, 3), (20, columns))
    distant = rng.uniform(-bound, bound, (20, columns))
    x = on_grid(np.concatenate([close, distant, np.zeros((1, columns))]) * (1 - 1e-6))
    accurate(study, "softmax", x, special.softmax(x, axis=1), bound=bound)


@pytest.mark.parametrize(
    ("name", "declared"),
    [
        ("exp", {"low": -1025.0, "high": 1.0}),
        ("exp", {"low": 0.0, "high": 14.0}),
        ("reciprocal", {"low": 1.0, "high": 2.0**15}),
        ("reciprocal", {"low": 2.0**-13, "high": 1.0}),
        ("inv_sqrt", {"low": 2.0**-13, "high": 1.0}),
        ("inv_sqrt", {"low": 1.0, "high": 2.0**21}),
        ("sigmoid", {"bound": 1025.0}),
        ("softmax", {"bound": 513.0}),
    ],
)
def test_range_that_the_ring_cannot_serve_is_refused(
    pair: Study, name: str, declared: dict[str, float]
) -> None:
    """Better no answer than a wrong one."""
    x = pair.share(np.ones((1, 2)))
    with pytest.raises(UsageError, match="does not fit the ring"):
        getattr(pair.session, name)(x, **declared)


def test_public_number_that_the_ring_cannot_hold_is_refused(pair: Study) -> None:
    """Instead of wrapping around."""
    x = pair.share(np.ones((2, 2)))
    for operation in (
        lambda: x + 1e7,
        lambda: x * -1e7,
        lambda: x @ np.full((2, 2), 1e7),
        lambda: x + np.full((2, 2), np.nan),
        lambda: x + pair.local(np.full((2, 2), 1e7)),
    ):
        with pytest.raises(OutOfRange, match="scale"):
            operation()


def test_shapes_that_do_not_fit_are_refused_before_anything_is_sent(pair: Study) -> None:
    """Operands that stay at their owner included."""
    x, y = pair.share(uniform(3, 4)), pair.share(uniform(2, 3))
    sent = len(pair.session.transcript.messages)
    for operation in (
        lambda: x + y,
        lambda: x * y,
        lambda: x @ y,
        lambda: x @ uniform(3, 3),
        lambda: x * uniform(2, 3, 4),
        lambda: pair.session.stack([x, y]),
        lambda: x + pair.local(uniform(5)),
        lambda: x @ pair.local(uniform(3, 2)),
    ):
        with pytest.raises(ProtocolError, match="shape"):
            operation()
    assert len(pair.session.transcript.messages) == sent
    np.testing.assert_allclose(pair.read(x - x), 0)  # and the parties go on


@pytest.mark.parametrize(
    ("name", "declared", "value"),
    [
        ("exp", {"low": -2.0, "high": 2.0}, 2.1),
        ("exp", {"low": -2.0, "high": 2.0}, -2.1),
        ("exp", {"low": -2.0, "high": 0.0}, 0.01),
        ("reciprocal", {"low": 0.5, "high": 2.0}, 0.0),
        ("reciprocal", {"low": 0.5, "high": 2.0}, -1.0),
        ("reciprocal", {"low": 0.5, "high": 2.0}, 1e5),
        ("inv_sqrt", {"low": 0.5, "high": 2.0}, 0.4),
        ("sigmoid", {"bound": 4.0}, -1e6),
        ("softmax", {"bound": 4.0}, 4.5),
    ],
)
def test_value_outside_its_declared_range_is_never_opened(
    parties: Nursery, name: str, declared: dict[str, float], value: float
) -> None:
    """One entry of many is enough; the run ends, and so do its parties."""
    study = Study(parties.cluster())
    x = np.ones((5, 8))
    x[2, 3] = value
    try:
        bad = getattr(study.session, name)(study.share(x), **declared)
        with pytest.raises(OutOfRange, match="range"):
            study.read(bad)
    finally:
        study.close()
    wait_until(lambda: not any(map(alive, study.cluster.pids.values())))


def test_rounding_at_the_end_of_a_range_is_no_offence(pair: Study) -> None:
    """A value that is a last place off its bound passes."""
    for name, declared, value in (
        ("exp", {"low": -2.0, "high": 0.0}, UNIT),
        ("exp", {"low": 0.0, "high": 2.0}, -UNIT),
        ("reciprocal", {"low": 1.0, "high": 2.0}, 1 - UNIT),
        ("sigmoid", {"bound": 4.0}, 4 + UNIT),
    ):
        pair.read(getattr(pair.session, name)(pair.share(np.array([[value]])), **declared))


def test_many_arrays_do_not_pile_up_at_the_parties(parties: Nursery) -> None:
    """What the program lets go of is freed there too: memory does not grow with the steps."""
    study = Study(parties.cluster())
    x = study.share(np.ones((1000, 500)))
    for _ in range(3):
        for _ in range(40):  # 4 MB each
            x = x + 1
        study.read(study.session.total(x, axis=0))
    assert study.session.elsewhere_mib < 2 * 45 * 4
    study.close()


# What each party sees.


Views = dict[str, list[tuple[str, str, bytes]]]


def openings(views: Views) -> list[list[np.ndarray]]:
    """Of each opening of two parties both shares, and both ways to join them."""
    sides = [
        [np.frombuffer(data, np.int64) for _, label, data in views[name] if label == "opening"]
        for name in ("party-1", "party-2")
    ]
    with np.errstate(over="ignore"):
        return [[a + b, a ^ b, a, b] for a, b in zip(*sides, strict=True)]


def of_single_bits(opening: list[np.ndarray]) -> bool:
    """Whether all words are bits, each of which is under a random one."""
    return all(np.all(share >> 1 == 0) for share in opening[2:])


class Noting(CleartextSession):
    """Keeps every array that a program computes, in the clear."""

    def _share(self, *arguments: Any) -> Protected:
        return self._noted(super()._share(*arguments))

    def _derived(self, source: Protected, array: np.ndarray) -> Protected:
        return self._noted(super()._derived(source, array))

    def _noted(self, value: Protected) -> Protected:
        self.__dict__.setdefault("noted", []).append(np.asarray(value.handle, float))
        return value


def recorded_training(
    task_name: str, parties: Nursery, **how: Any
) -> tuple[Views, list[np.ndarray], np.ndarray, np.ndarray]:
    """Views of an outsourced training, all its intermediates, its answer and the exact one."""
    task = registry.find_task(task_name)
    given: dict[str, Any] = {"outsourced_steps": 2}
    if task_name == "deep":
        given = {"epochs": 1, "batch_share": 0.5, "hidden": "5", "activation": "relu"}
    chosen = task.settings(**given)
    records = records_of(task_name, "wdbc", chosen, rows=80)
    shards, run = spread(records, 2), task.programs["outsourced"]
    plan = run.plan(chosen, public_of(records, 2))
    clear = Noting(Opening(shards, plan))
    (exact,) = run(clear, plan).values.values()
    session = SharedSession(Opening(shards, plan, record=True), parties.cluster(**how))
    (answer,) = run(session, plan).values.values()
    session.close()
    noted = clear.__dict__["noted"]
    return session.committee.views, noted, answer, exact


def unmasked(opened: list[np.ndarray], noted: list[np.ndarray]) -> int:
    """How many opened words lie next to the fixed-point integer of an intermediate."""
    near, words = 256, np.concatenate(opened)
    integers = np.concatenate([fixed(a).ravel() for a in noted])
    integers = np.unique(integers[np.abs(integers) > 2**13])
    found = 0
    for shift in (0, 1 << 62):
        with np.errstate(over="ignore"):
            sought = words - np.int64(shift)
        at = np.clip(np.searchsorted(integers, sought), 1, len(integers) - 1)
        distance = np.minimum(
            np.abs(sought.astype(float) - integers[at - 1]),
            np.abs(sought.astype(float) - integers[at]),
        )
        found += int((distance <= near).sum())
    return found


def strongest_correlation(opened: list[np.ndarray], noted: list[np.ndarray]) -> float:
    """Largest correlation of an opening's head or tail with an intermediate, in deviations."""
    worst = 0.0
    for size in {a.size for a in noted if a.size >= 80}:
        ends = [e for o in opened if len(o) >= size for e in (o[:size], o[-size:])]
        theirs = [a.ravel() for a in noted if a.size == size and a.std() > 1e-9]
        if ends and theirs:
            x, y = (_standardised(np.array(v, float)) for v in (ends, theirs))
            worst = max(worst, float(np.abs(x @ y.T).max() / np.sqrt(size)))
    return worst


def _standardised(rows: np.ndarray) -> np.ndarray:
    rows = rows - rows.mean(1, keepdims=True)
    return rows / np.maximum(rows.std(1, keepdims=True), 1e-300)


@pytest.mark.parametrize("task", ["logreg", "deep"])
def test_parties_see_no_unmasked_intermediate(task: str, parties: Nursery) -> None:
    """Openings are uniform, equal no input, score, activation, gradient or weight, follow none."""
    views, noted, answer, exact = recorded_training(task, parties)
    assert np.abs(answer - exact).max() < 0.02 * np.abs(exact).max()
    found = openings(views)
    for words in zip(*(o for o in found if not of_single_bits(o)), strict=True):
        assert len(np.concatenate(words)) > 10_000
        assert uniformity(np.concatenate(words)) > UNLIKELY
    for bits in list(zip(*filter(of_single_bits, found), strict=True))[1:]:
        single = np.concatenate(bits)
        assert abs(single.mean() - 0.5) < 5 * 0.5 / np.sqrt(len(single))
    opened = [words for opening in found for words in opening]
    assert unmasked(opened, noted) == 0
    assert strongest_correlation(opened, noted) < 7
    for sender, label, data in views["party-1"]:
        if sender == DEALER and len(data) > 40_000:
            body = data.partition(b"\n")[2]
            assert label == "correlated randomness"
            assert uniformity(np.frombuffer(body, np.int64)) > UNLIKELY


@pytest.mark.parametrize("task", ["logreg", "deep"])
def test_the_same_check_finds_parties_that_do_not_mask(task: str, parties: Nursery) -> None:
    """With masks of zero the answer is the same, and every part of the check fails."""
    views, noted, answer, exact = recorded_training(task, parties, zeros=True)
    assert np.abs(answer - exact).max() < 0.02 * np.abs(exact).max()
    opened = [words for opening in openings(views) for words in opening]
    assert uniformity(np.concatenate(opened[::4])) < UNLIKELY
    assert unmasked(opened, noted) > 1000
    assert strongest_correlation(opened, noted) > 8.5


def test_shares_alone_reach_the_compute_parties(parties: Nursery) -> None:
    """What an owner sends one party is uniform, and the two together are the records."""
    study = Study(parties.cluster(), record=True)
    values = uniform(200, 250)
    study.read(study.session.total(study.share(values), axis=0))
    study.close()
    held = [
        Command.unpack(data).expanded().arrays["share"]
        for name in ("party-1", "party-2")
        for sender, label, data in study.session.committee.views[name]
        if label == "command" and Command.unpack(data).name == "share"
    ]
    assert all(uniformity(share) > UNLIKELY for share in held)
    np.testing.assert_array_equal(joined(held), fixed(values))


# Who is trusted.


def test_third_dealer_is_named(study: Study) -> None:
    """And that it must not help a compute party."""
    study.read(study.share(uniform(2, 2)).square())
    guarantee, count = study.session.guarantee(), len(study.cluster.names)
    assert guarantee.trusted == (DEALER,)
    assert f"up to {count - 1} of {count}" in guarantee.adversary
    assert "none of them with the dealer" in guarantee.adversary
    assert "dealer and one compute party together" in guarantee.not_protected
    assert "CrypTen 0.4.1" in guarantee.mechanism


def recovered(view: list[tuple[str, str, bytes]], shape: tuple[int, ...]) -> list[np.ndarray]:
    """What party-1 makes of its view of one product, trying every seed that it was sent.

    The first opening is party-2's share of the left factor less its share of the mask.
    """
    commands = [Command.unpack(data).expanded() for _, label, data in view if label == "command"]
    share = next(c.arrays["share"] for c in commands if c.name == "share")
    opening = next(data for _, label, data in view if label == "opening")
    masked = np.frombuffer(opening, np.int64)[: share.size].reshape(shape)
    seeds = [data for _, label, data in view if label == "seed"]
    return [joined([share, masked, Stream(seed).words(shape)]) for seed in seeds]


@pytest.mark.parametrize("third", [False, True])
def test_party_that_deals_recovers_the_others_inputs(parties: Nursery, third: bool) -> None:
    """Exactly, from what it received; with a third dealer the same attack finds noise."""
    study = Study(parties.cluster(third_dealer=third), record=True)
    secret = uniform(60, 60)
    shared = study.share(secret, owner="owner-2"), study.share(uniform(60, 60))
    left, right = (study.session.bounded(x, bound=1000, proven=True) for x in shared)
    study.read(left * right)
    study.close()
    guarantee, view = study.session.guarantee(), study.session.committee.views["party-1"]
    guesses = recovered(view, secret.shape)
    hits = [np.array_equal(guess, fixed(secret)) for guess in guesses]
    assert any(hits) == (not third)
    if third:
        assert all(uniformity(guess) > UNLIKELY for guess in guesses)
    else:
        assert guarantee.trusted == ("party-1",)
        assert "party-1 deals, and can recover the others' inputs" in guarantee.not_protected
        assert "party-1 not among them" in guarantee.adversary


def total_of_x(state: Any, shard: Shard, memory: Any) -> OwnerTotal:
    """An owner's own array."""
    return OwnerTotal(shard["x"])


def adding(parties: Nursery, shards: list[Shard], *names: str) -> SharedSession:
    """A session that may sum x and open it."""
    shape = shards[0]["x"].shape
    plan = Plan(None, Public(), releases=9, value_max=2.0**20, shapes={"x": shape})
    return SharedSession(Opening(shards, plan), parties.cluster())


def test_sums_need_no_dealer(parties: Nursery) -> None:
    """Additive shares alone: nobody is trusted, and nobody asks the dealer for anything."""
    shards = [Shard(f"owner-{k}", 9, {"x": uniform(7)}) for k in (1, 2, 3)]
    session = adding(parties, shards)
    contribution = Contribution(fn=total_of_x, shape=(7,), unit="owner", coordinate_max=2.0)
    total = session.sum(contribution, to=ANALYST).value
    np.testing.assert_allclose(total, sum(s["x"] for s in shards), atol=1e-10)
    assert session.guarantee().trusted == ()
    assert "CrypTen" not in session.guarantee().mechanism
    assert DEALER not in {m.receiver for m in session.transcript.messages}
    session.close()


def test_sums_and_protected_arrays_mix(parties: Nursery) -> None:
    """A sum between two operations leaves the parties' logs in order."""
    shards = [Shard(f"owner-{k}", 9, {"x": uniform(7)}) for k in (1, 2)]
    session = adding(parties, shards)
    contribution = Contribution(fn=total_of_x, shape=(7,), unit="owner", coordinate_max=2.0)
    x = session.share("x", owner="owner-1").square()
    total = session.sum(contribution, to=ANALYST).value
    found = session.reveal(x * 2, to=ANALYST)
    np.testing.assert_allclose(total, shards[0]["x"] + shards[1]["x"], atol=1e-10)
    np.testing.assert_allclose(found, 2 * shards[0]["x"] ** 2, atol=20 * UNIT)
    assert session.guarantee().trusted == (DEALER,)
    session.close()


# What is counted.


def test_transcript_lists_what_crossed_between_all_parties(pair: Study) -> None:
    """Owners, compute parties, dealer and analyst, with the bytes of each message."""
    pair.read(pair.share(uniform(50, 4), owner="owner-2").square())
    messages = pair.session.transcript.messages
    pairs = {(m.sender, m.receiver, m.label) for m in messages}
    assert {
        ("owner-2", "party-1", "share"),
        ("owner-2", "party-2", "share"),
        ("analyst", "party-1", "command"),
        ("party-1", "party-2", "opening"),
        ("party-2", "party-1", "opening"),
        ("party-1", DEALER, "tuple request"),
        (DEALER, "party-1", "correlated randomness"),
        ("party-1", "analyst", "share"),
        ("party-2", "analyst", "share"),
    } <= pairs
    assert all(m.size > 24 for m in messages)
    openings = [m.size for m in messages if m.label == "opening"]
    assert 8 * 200 + 24 in openings
    assert pair.session.transcript.bytes == sum(m.size for m in messages)


def test_rounds_are_those_of_the_protocol(parties: Nursery) -> None:
    """Share, open for the product, open for the truncation, reveal: four, and the dealer's two."""
    study = Study(parties.cluster())
    x = study.session.bounded(study.share(uniform(3, 3)), bound=1000, proven=True)
    study.read(x.square())
    transcript = study.session.transcript
    study.close()
    assert 4 <= transcript.rounds <= 4 + 4
    openings = [m for m in transcript.messages if m.label == "opening"]
    assert len(openings) == 4


def replayed(logs: dict[str, list[Event]], *commands: str) -> Transcript:
    """A transcript after the parties' logs went into it."""
    transcript = Transcript()
    replay = Replay(transcript, "coordinator")
    for party in logs:
        replay.start(party, 0.0)
    for party in commands:
        replay.sent(ANALYST, party, "command", 1000)
    replay.merge(logs, ANALYST)
    return transcript


def sent(peer: str, cpu_s: float = 0.0) -> Event:
    """A thousand bytes leave."""
    return Event("send", peer, "opening", 1000, cpu_s)


def got(peer: str, cpu_s: float = 0.0, **how: float) -> Event:
    """A thousand bytes are read."""
    return Event("recv", peer, "opening", 1000, cpu_s, **how)


WIRE = 8 * 1000 / 1e8
"""Seconds that a thousand bytes take on the modelled WAN."""


def test_simultaneous_exchange_takes_one_latency() -> None:
    """Both send before they read, so that neither waits for the other."""
    found = replayed(
        {"a": [sent("b"), got("b")], "b": [sent("a"), got("a")]},
    )
    assert found.rounds == 1
    assert found.bytes == 2000
    assert found.timelines[1].elapsed == pytest.approx(0.05 + WIRE)


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_answer_takes_another_latency(order: str) -> None:
    """Who reads before it sends has waited, whoever's log is merged first."""
    logs = {"a": [sent("b"), got("b")], "b": [got("a"), sent("a")]}
    found = replayed({name: logs[name] for name in order})
    assert found.rounds == 2
    assert found.timelines[1].elapsed == pytest.approx(2 * (0.05 + WIRE))


def test_parties_compute_side_by_side_on_the_modelled_clock() -> None:
    """The slower one decides; what it spent before its clock began does not count."""
    found = replayed(
        {
            "a": [sent("b", 0.2), got("b", 0.2), sent("b", 0.3)],
            "b": [sent("a", 0.7), got("a", 0.7), got("a", 0.7)],
        }
    )
    assert found.timelines[1].elapsed == pytest.approx(0.7 + 0.05 + WIRE + 0.1 + 0.05 + WIRE)


def test_dealer_answers_within_the_asking_partys_log() -> None:
    """Request, its computing, answer: two latencies and the time that it said."""
    found = replayed({"a": [sent(DEALER), got(DEALER, remote_s=0.5)]})
    assert found.rounds == 2
    assert [m.sender for m in found.messages] == ["a", DEALER]
    assert found.timelines[1].elapsed == pytest.approx(0.5 + 2 * (0.05 + WIRE))


def test_commands_and_shares_cross_between_programs_and_parties() -> None:
    """What goes to the coordinator's process goes to the role that reads it."""
    found = replayed({"a": [got("coordinator"), sent("coordinator")]}, "a")
    assert [(m.sender, m.receiver, m.depth) for m in found.messages] == [
        (ANALYST, "a", 1),
        ("a", ANALYST, 2),
    ]


@pytest.mark.parametrize(
    "logs",
    [
        {"a": [got("b")], "b": []},
        {"a": [got("b"), sent("b")], "b": [got("a"), sent("a")]},
        {"a": [sent("b")], "b": [got("a"), got("a")]},
        {"a": [got("coordinator")], "b": []},
    ],
)
def test_logs_that_do_not_fit_are_refused(logs: dict[str, list[Event]]) -> None:
    """Nobody received what nobody sent, and two do not wait for each other."""
    with pytest.raises(ProtocolError, match="do not fit"):
        replayed(logs)


# Parties that were started elsewhere.


@pytest.mark.parametrize(("count", "third"), [(2, True), (2, False), (3, True), (3, False)])
def test_parties_from_elsewhere_compute_end_to_end(
    parties: Nursery, count: int, third: bool
) -> None:
    """At an address on loopback, with a secret that all know; they leave with the program."""
    study = Study(parties.cluster(count, third_dealer=third))
    a, b = uniform(6, 4), uniform(6, 4)
    found = study.read(study.session.sigmoid(study.share(a) * study.share(b, owner="owner-2")))
    np.testing.assert_allclose(found, special.expit(a * b), atol=1e-3)
    pids = study.cluster.pids
    assert set(pids) == {*study.cluster.names, *([DEALER] if third else [])}
    study.close()
    assert [parties.note(pid) for pid in pids.values()] == [""] * len(pids)


def test_petlab_party_joins_a_computation(tmp_path: Any) -> None:
    """The command line from three shells: a secret file, an address and a rank each."""
    petlab, secret, address = [sys.executable, "-m", "petlab"], tmp_path / "secret", free_address()
    subprocess.run([*petlab, "party", "--new-secret", secret], check=True)
    cluster = Cluster(2, third_dealer=True, address=address, secret=secret.read_bytes())
    arguments = ["--world-size", "2", "--address", address, "--secret", str(secret)]
    started = [subprocess.Popen([*petlab, "party", *arguments, "--rank", str(k)]) for k in range(3)]
    study = Study(cluster)
    a = uniform(6, 4)
    np.testing.assert_allclose(study.read(study.share(a).square()), a**2, atol=1e-5)
    study.close()
    assert [process.wait(10) for process in started] == [0, 0, 0]


def ip(*arguments: str) -> None:
    """Set up networks as root."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@pytest.fixture
def namespaces() -> Iterator[tuple[str, list[str]]]:
    """The coordinator's address, and three network namespaces on one bridge with it."""
    bridge = f"plb{os.getpid() % 100_000}"
    names = [f"{bridge}n{k}" for k in range(3)]
    host = f"10.213.{os.getpid() % 200}"
    try:
        try:
            ip("link", "add", bridge, "type", "bridge")
            ip("addr", "add", f"{host}.1/24", "dev", bridge)
            ip("link", "set", bridge, "up")
            for k, name in enumerate(names):
                ip("netns", "add", name)
                ip("link", "add", f"{name}h", "type", "veth", "peer", "name", f"{name}p")
                ip("link", "set", f"{name}h", "master", bridge, "up")
                ip("link", "set", f"{name}p", "netns", name)
                ip("-n", name, "addr", "add", f"{host}.{k + 2}/24", "dev", f"{name}p")
                ip("-n", name, "link", "set", f"{name}p", "up")
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"network namespaces need root: {getattr(error, 'stderr', error)}")
        yield f"{host}.1", names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
        subprocess.run(["ip", "link", "del", bridge], capture_output=True)


def test_every_party_in_a_network_of_its_own(
    parties: Nursery, namespaces: tuple[str, list[str]]
) -> None:
    """Coordinator, two parties and dealer reach each other by their addresses alone."""
    host, names = namespaces
    port, secret = free_address().rpartition(":")[2], os.urandom(32)
    address = f"{host}:{port}"
    cluster = Cluster(2, third_dealer=True, address=address, secret=secret)
    for rank, name in enumerate(names):
        parties.start(rank, 2, address, secret, namespace=name)
    study = Study(cluster)
    a, b = uniform(30, 5), uniform(30, 5)
    product = study.share(a).T @ study.share(b, owner="owner-2")
    np.testing.assert_allclose(study.read(product), a.T @ b, atol=1e-4)
    positive = study.read(study.session.positive(study.share(a)))
    np.testing.assert_array_equal(positive, a > 0)
    hosts = {where[0] for where in cluster._peers}
    study.close()
    assert len(hosts) == 3


def plan_exp(settings: Any, public: Public) -> Plan:
    """One array."""
    return Plan(settings, public, releases=1, value_max=99.0, shapes={"x": (3,)})


@program(requires={Op.SHARE, Op.EXP, Op.REVEAL}, plan=plan_exp)
def exponential(session: Any, plan: Plan) -> Answer:
    """exp of values that are at most one."""
    x = session.share("x", owner="owner-1")
    return Answer({"x": session.reveal(session.exp(x, low=-1.0, high=1.0), to=ANALYST)})


@pytest.mark.parametrize("high", [1.0, 5.0])
def test_run_ends_its_parties_however_it_ends(parties: Nursery, tmp_path: Any, high: float) -> None:
    """By an answer, or by an error of the program's."""
    technique = MultipartyComputation(parties.settings(tmp_path))
    shards = [Shard("owner-1", 3, {"x": np.array([0.0, -1.0, high])})]
    plan = exponential.plan(None, Public())
    before = len(parties.pids) - 3
    opening = Opening(shards, replace(plan))
    if high > 1:
        with pytest.raises(OutOfRange):
            technique.execute(exponential, opening)
    else:
        run = technique.execute(exponential, opening)
        np.testing.assert_allclose(run.answer["x"], np.exp(shards[0]["x"]), rtol=1e-2)
        assert run.costs["offline_bytes"].value > 0
        assert run.costs["wan_s"].value > run.costs["rounds"].value * 0.05
    assert [parties.note(pid) for pid in parties.pids[before:]] == [""] * 3
