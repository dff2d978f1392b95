"""One technique borrows another's aggregation, which may be spread over several holders."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import tenseal as ts
import toy_programs as toys
from flwr.common.serde import message_from_proto
from flwr.proto.message_pb2 import Message as MessageProto
from scipy import stats
from studies import evaluated, payloads, public_of, raw_record_found, records_of, spread
from test_he import ciphertexts, secret_pieces

from petlab.core.accumulator import Accumulators
from petlab.core.aggregation import Aggregation, Bound, Lender, Opener
from petlab.core.claims import Guarantee
from petlab.core.composing import Borrowing, Guarded
from petlab.core.ops import Gap, Op
from petlab.core.party import AGGREGATOR, ANALYST, OWNERS, SERVER, Shard, owner_names
from petlab.core.plan import Plan, Public
from petlab.core.release import Exposure
from petlab.core.session import Opening, Session
from petlab.core.settings import Setting, describe_settings
from petlab.core.summing import Summing
from petlab.core.task import Answer, Program, program
from petlab.core.technique import Run, Technique
from petlab.errors import PetlabError, ProtocolError, UsageError
from petlab.metering import wire
from petlab.running import registry
from petlab.running.evaluator import evaluate
from petlab.running.result import Cell, Status

WIDTH = 16_000
"""Coordinates of the wide sum: enough to tell a uniform share from one that is not."""
PARTIES = ("party-a", "party-b", "party-c")
TASKS = ["chi2", "elm", "logreg", "deep"]


# A toy: additive shares modulo 2^64, one for each of three compute parties.


class Shares:
    """Splits fixed-point integers into three uniform words each."""

    holders = PARTIES
    fraction_bits = 30

    def grid(self, bound: Bound) -> float:
        """The value of the last bit."""
        return 2.0**-self.fraction_bits

    def protect(self, total: np.ndarray, bound: Bound, *, sender: str = "") -> list[bytes]:
        """Two random words, and what is missing to the value."""
        value = np.rint(np.ldexp(total, self.fraction_bits)).astype(np.int64).view(np.uint64)
        masks = [np.frombuffer(secrets.token_bytes(8 * total.size), np.uint64) for _ in PARTIES[1:]]
        shares = [*masks, value - np.sum(masks, axis=0, dtype=np.uint64)]
        return [wire.pack({"share": share}) for share in shares]

    def add(self, holder: str, blobs: Sequence[bytes]) -> bytes:
        """Add the shares that one party holds."""
        return wire.pack({"share": _total(blobs)})

    def open(self, blobs: Sequence[bytes], bound: Bound, *, owners: int) -> np.ndarray:
        """Add the parties' sums."""
        return np.ldexp(_total(blobs).view(np.int64).astype(float), -self.fraction_bits)


def _total(blobs: Sequence[bytes]) -> np.ndarray:
    return np.asarray(sum(share_in(blob) for blob in blobs))


def share_in(blob: bytes) -> np.ndarray:
    """The words in a message."""
    return wire.unpack(blob)["share"]


class SharesLender:
    """Lends the toy, and notes whether it was returned."""

    closed = 0

    def __init__(self, host: Summing) -> None:
        self.host = host

    def aggregation(self, *readers: str, terms: int) -> Aggregation:
        return Shares()

    def opener(self, *readers: str, terms: int) -> Opener:
        return Shares()

    def guarantee(self) -> Guarantee:
        return Guarantee(
            kind="input",
            protects="Contributions, against two of three parties.",
            not_protected="What is opened.",
            adversary="semi-honest",
        )

    def close(self) -> None:
        SharesLender.closed += 1


class SharesSession(Accumulators):
    """Sums and accumulators on three compute parties."""

    def _set_up(self) -> None:
        self._lender = SharesLender(self)

    def _aggregation(self, *readers: str, terms: int) -> Aggregation:
        return self._lender.aggregation(*readers, terms=terms)

    def _opener(self, *readers: str, terms: int) -> Opener:
        return self._lender.opener(*readers, terms=terms)

    def _guarantee(self) -> Guarantee:
        return self._lender.guarantee()

    def close(self) -> None:
        self._lender.close()


class Sharing(Technique):
    """The toy as a technique of its own, and as one that lends."""

    name = "toy"
    title = "Toy shares"
    protects = "inputs, against two of three parties"
    session = SharesSession
    exposure = Exposure(places=(OWNERS, AGGREGATOR), contributions=False)

    def lend(self, host: Summing) -> Lender:
        return SharesLender(host)


def plan_wide(settings: Any, public: Public) -> Plan:
    """One sum of all records."""
    return Plan(settings, public, releases=1, shapes={"weights": (WIDTH,)})


@program(requires={Op.SUM}, plan=plan_wide)
def wide_sum(session: Session, plan: Plan) -> Answer:
    """The sum of records of many columns, and the deviation of its noise."""
    total = session.sum(toys.sum_of_x(plan), to=ANALYST)
    deviation = total.noise.deviation if total.noise else 0.0
    return Answer({"total": total.value, "deviation": np.array(deviation)})


@program(requires={Op.SUM}, plan=plan_wide)
def breaking(session: Session, plan: Plan) -> Answer:
    """Fails after its first sum."""
    session.sum(toys.sum_of_x(plan), to=ANALYST)
    raise ZeroDivisionError


@program(requires={Op.SUM}, plan=plan_wide)
def read_by_the_aggregator(session: Session, plan: Plan) -> Answer:
    """Asks that the one who adds may read."""
    return Answer({"total": session.sum(toys.sum_of_x(plan), to=AGGREGATOR).value})


def wide_shards(owners: int = 3) -> list[Shard]:
    """Ten records of norm one at each owner."""
    rng = np.random.default_rng(5)
    rows = [rng.normal(size=(10, WIDTH)) / np.sqrt(WIDTH) for _ in range(owners)]
    return [Shard(n, 10, {"x": x}) for n, x in zip(owner_names(owners), rows, strict=True)]


def ran(technique: Technique, chosen: Program = wide_sum) -> Run:
    """The wide sum under a technique, with payloads."""
    plan = chosen.plan(None, Public(owners=3))
    release = technique.release(plan)
    return technique.execute(chosen, Opening(wide_shards(), plan, record=True, release=release))


def federated() -> Borrowing:
    """Federated learning that borrows the toy."""
    return Borrowing(registry.find_technique("fl"), Sharing(), name="fl+toy")


EXACT = np.sum([shard["x"].sum(0) for shard in wide_shards()], axis=0)


def uniform(words: np.ndarray) -> bool:
    """Whether words look drawn from all of 0 .. 2^64 - 1, and unlike the total."""
    fits = stats.kstest(words / 2.0**64, "uniform").pvalue > 1e-9
    return bool(fits) and abs(np.corrcoef(words / 2.0**64, EXACT)[0, 1]) < 7 / np.sqrt(WIDTH)


@pytest.mark.parametrize("technique", [Sharing(), federated()], ids=lambda t: t.name)
def test_shares_at_three_holders_add_up_and_show_nothing_alone(technique: Technique) -> None:
    """The reader gets the sum; what any one holder, or any two, were sent looks uniform."""
    run = ran(technique)
    np.testing.assert_allclose(run.answer["total"], EXACT, atol=1e-8)
    found = {
        (m.sender, m.receiver): share_in(m.payload)
        for m in run.transcript.messages
        if m.label == "contribution" and m.payload is not None
    }
    assert found.keys() == set(itertools.product(owner_names(3), PARTIES))
    assert all(uniform(words) for words in found.values())
    at_holder = [np.sum([found[o, p] for o in owner_names(3)], axis=0) for p in PARTIES]
    assert all(uniform(words) for words in at_holder)
    assert all(uniform(a + b) for a, b in itertools.combinations(at_holder, 2))
    # The same eye sees the total, so it could have seen a share that is none.
    assert not uniform(np.sum(at_holder, axis=0))


def test_each_holder_receives_from_every_owner_and_sends_to_the_reader_only() -> None:
    """No share passes through another holder, and each holder's sum goes to the analyst."""
    run = ran(Sharing())
    for party in PARTIES:
        got = run.transcript.view(party)
        assert sorted(m.sender for m in got) == owner_names(3)
        sent = [m for m in run.transcript.messages if m.sender == party]
        assert [(m.receiver, m.label) for m in sent] == [(ANALYST, "total")]
    assert run.phases["compute"]["wall_s"] > 0


def test_flower_carries_no_share_when_others_hold_them() -> None:
    """Owners acknowledge the aggregator's messages, and it holds nothing to add."""
    run = ran(federated())
    view = run.transcript.view(AGGREGATOR)
    assert {m.label for m in view} == {"state", "update"}
    for message in view:
        if message.label == "update":
            assert flower_record(message.payload) == {}
            assert message.size < 1000 < 8 * WIDTH
    assert run.guarantee.trusted == ()


@pytest.mark.parametrize(
    ("technique", "maker"), [(Sharing(), "party-a"), (federated(), AGGREGATOR)], ids=["toy", "fl"]
)
def test_noise_of_one_maker_is_shared_among_holders(technique: Technique, maker: str) -> None:
    """The first holder, or the federation's aggregator, shares it like a contribution."""
    guard = registry.guards()["dp"]
    chosen = guard(guard.settings(noise="aggregator", noise_multiplier=0.5))
    run = ran(Guarded(technique, chosen, name="guarded"))
    noise = [m for m in run.transcript.messages if m.label == "noise"]
    others = [party for party in PARTIES if party != maker]
    assert [(m.sender, m.receiver) for m in noise] == [(maker, party) for party in others]
    assert all(uniform(share_in(m.payload)) for m in noise if m.payload)
    deviation = float(run.answer["deviation"])
    assert deviation > 1
    assert np.std(run.answer["total"] - EXACT) == pytest.approx(deviation, rel=0.05)


def test_accumulator_is_spread_over_all_holders() -> None:
    """Every party stores and adds its own shares; weights are those of plain SGD."""
    rng = np.random.default_rng(8)
    shards = [
        Shard(name, 12, {"x": rng.uniform(-1, 1, (12, 3)), "y": rng.integers(0, 2, 12)})
        for name in owner_names(3)
    ]
    plan = toys.encrypted_weights.plan(toys.Settings(steps=4), Public(features=("a", "b", "c")))
    opening = Opening(shards, plan, record=True)
    shared = Sharing().execute(toys.encrypted_weights, opening)
    plain = registry.find_technique("cleartext").execute(toys.encrypted_weights, opening)
    np.testing.assert_allclose(shared.answer["weights"], plain.answer["weights"], atol=1e-7)
    final = shared.answer["weights"].astype("<f8").tobytes()
    assert not any(final in payload for payload in payloads(shared, SERVER, *PARTIES))
    for party in PARTIES:
        assert sum(m.label == "update" for m in shared.transcript.view(party)) == 5


# Federated learning over ciphertexts.


def quick(task: str) -> dict[str, Setting]:
    """Settings that keep a task's sums short."""
    known: dict[str, dict[str, Setting]] = {
        "deep": {"epochs": 1, "hidden": "4"},
        "logreg": {"iterations": 2},
    }
    return known.get(task, {})


def study(task: str, spec: str = "fl+he", **chosen: Setting) -> tuple[Session, Answer, list[Shard]]:
    """A recorded run of a task's sums on 120 records: its session, answer and shards."""
    found, technique = registry.find_task(task), registry.find_technique(spec)
    settings = found.settings(**{**quick(task), **chosen})
    records = records_of(task, "wdbc", settings, rows=120)
    shards, sums = spread(records, 2), found.programs["sums"]
    plan = sums.plan(settings, public_of(records, 2))
    session = technique.open(Opening(shards, plan, seed=3, record=True))
    return session, sums(session, plan), shards


def flower_record(payload: bytes | None) -> dict[str, bytes]:
    """What an owner's Flower message to the aggregator holds, parsed by Flower itself."""
    assert payload is not None
    message: Any = message_from_proto(MessageProto.FromString(payload))
    assert set(message.content) == {"contribution"}
    return dict(message.content["contribution"])


@pytest.fixture(scope="module", params=TASKS)
def blind(request: pytest.FixtureRequest) -> tuple[Session, list[Shard]]:
    """Each task's sums once, federated over ciphertexts."""
    session, _, shards = study(request.param)
    return session, shards


def test_aggregator_cannot_decrypt_what_flower_brings_it(
    blind: tuple[Session, list[Shard]],
) -> None:
    """It holds public contexts and ciphertexts; only the analyst's keys open them."""
    view = blind[0].transcript.view(AGGREGATOR)
    assert {m.label for m in view} == {"public key", "state", "update"}
    contexts = [ts.context_from(m.payload) for m in view if m.label == "public key"]
    assert contexts
    assert not any(context.is_private() for context in contexts)
    held = [flower_record(m.payload)[AGGREGATOR] for m in view if m.label == "update"]
    blobs = [blob for payload in held for blob in ciphertexts(payload)]
    assert blobs
    for context, blob in itertools.product(contexts, blobs):
        with pytest.raises(ValueError, match="secret"):
            ts.bfv_vector_from(context, blob).decrypt()
    (pair,) = blind[0]._lender.pairs.values()  # type: ignore[attr-defined]
    assert ts.bfv_vector_from(pair.secret, blobs[0]).decrypt()[0] == 1


def test_neither_secret_key_nor_record_travels(blind: tuple[Session, list[Shard]]) -> None:
    """No message to anybody holds a piece of the analyst's key, or a record."""
    session, shards = blind
    sent = [m.payload for m in session.transcript.messages if m.payload is not None]
    (pair,) = session._lender.pairs.values()  # type: ignore[attr-defined]
    pieces = secret_pieces(pair.secret)
    assert len(pieces) > 5
    assert not any(piece in payload for piece in pieces for payload in sent)
    for shard in shards:
        if "features" in shard.arrays:
            assert not raw_record_found(sent, shard["features"])


def test_aggregator_reads_single_updates_only_where_nothing_is_lent() -> None:
    """The same search finds every owner's total under plain `fl`."""
    totals = [shard["x"].sum(0).astype("<f8").tobytes() for shard in wide_shards()]
    seen = {
        spec: [any(total in payload for payload in payloads(run, AGGREGATOR)) for total in totals]
        for spec in ("fl", "fl+he")
        for run in [ran(registry.find_technique(spec))]
    }
    assert seen == {"fl": [True] * 3, "fl+he": [False] * 3}


@pytest.mark.parametrize(
    ("task", "chosen"),
    [*((task, {}) for task in TASKS), ("deep", {"method": "fedavg", "epochs": 2})],
)
def test_sums_over_ciphertexts_equal_cleartext(task: str, chosen: dict[str, Setting]) -> None:
    """Counts exactly, everything else up to the fixed-point grid."""
    answers = [study(task, spec, **chosen)[1].values for spec in ("fl+he", "cleartext")]
    assert answers[0].keys() == answers[1].keys()
    for name, value in answers[1].items():
        np.testing.assert_allclose(answers[0][name], value, rtol=1e-6, atol=1e-9)
        if task == "chi2" and name == "table":
            np.testing.assert_array_equal(answers[0][name], value)


def test_state_reaches_owners_through_the_aggregator() -> None:
    """The analyst talks to owners about keys only, and they answer the aggregator only."""
    messages = study("logreg")[0].transcript.messages
    to_owners = {(m.sender, m.label) for m in messages if m.receiver.startswith("owner-")}
    assert to_owners == {(ANALYST, "public key"), (AGGREGATOR, "model")}
    from_owners = {(m.receiver, m.label) for m in messages if m.sender.startswith("owner-")}
    assert from_owners == {(AGGREGATOR, "update")}


def test_guarantee_names_both_and_what_stays_open() -> None:
    """Nobody is trusted with updates any more, and the model that travels is named."""
    found = evaluated(Cell("chi2", "sums", "fl+he")).guarantee
    assert found is not None
    assert (found.kind, found.trusted, found.security_bits) == ("input", (), 128)
    assert "never leave their owner" in found.protects
    assert "aggregator, which adds them and has no key" in found.protects
    assert "model of each round" in found.not_protected
    assert "Flower" in found.mechanism
    assert "BFV" in found.mechanism
    assert "server" not in found.protects + found.not_protected + found.adversary


@pytest.mark.parametrize("strategy", ["fedadam", "krum", "fedmedian"])
def test_strategy_that_reads_updates_is_refused(strategy: str) -> None:
    """And one that does not exist as well."""
    with pytest.raises(UsageError, match=r"cannot.*strategy=fedavg"):
        evaluate(Cell("deep", "sums", "fl+he", settings={"strategy": strategy}))


def test_who_adds_ciphertexts_cannot_be_their_reader() -> None:
    """The aggregator would have to hold the key."""
    with pytest.raises(ProtocolError, match="aggregator cannot be a reader"):
        ran(registry.find_technique("fl+he"), read_by_the_aggregator)


# Differential privacy on top.


@pytest.mark.parametrize("task", ["chi2", "logreg", "deep"])
def test_federation_over_ciphertexts_spends_the_epsilon_of_encryption_alone(task: str) -> None:
    """Who sees what is the same, so the owners share the noise in the same way."""
    cells = [Cell(task, "sums", spec, settings=quick(task)) for spec in ("he+dp", "fl+he+dp")]
    alone, both = (evaluated(cell).guarantee for cell in cells)
    assert alone is not None
    assert both is not None
    assert (both.epsilon, both.delta) == (alone.epsilon, alone.delta)
    assert both.kind == "input+output"
    assert both.mechanism.rpartition("; ")[2] == alone.mechanism.rpartition("; ")[2]
    assert "Epsilon holds while at most 1 of 3 owners" in both.not_protected


def test_noise_has_the_deviation_of_encryption_alone() -> None:
    """Less than under plain federated learning, where each owner must add all of it."""
    chosen: dict[str, Setting] = {"noise_multiplier": 0.5}
    deviations = {}
    for spec in ("fl+dp", "he+dp", "fl+he+dp"):
        run = ran(registry.find_technique(spec, chosen))
        deviations[spec] = float(run.answer["deviation"])
        spread_of = np.std(run.answer["total"] - EXACT)
        assert spread_of == pytest.approx(deviations[spec], rel=0.05)
    assert deviations["fl+he+dp"] == deviations["he+dp"] < deviations["fl+dp"]


def test_aggregator_of_ciphertexts_can_add_the_noise() -> None:
    """Its encrypted noise is one more term, and the guarantee says who knows it."""
    chosen: dict[str, Setting] = {"noise": "aggregator", "epsilon": 2.0}
    result = evaluated(Cell("chi2", "sums", "fl+he+dp", settings=chosen))
    assert result.status is Status.OK, result.reason
    assert result.guarantee is not None
    assert "noise by the aggregator" in result.guarantee.mechanism
    assert result.guarantee.trusted == (AGGREGATOR,)


# Specs.


@pytest.mark.parametrize(
    "spec", ["he+fl", "fl+fl", "fl+dp+he", "fl+he+he", "fl+cleartext", "he+", "fl+he+", "fl+he+x"]
)
def test_composition_that_makes_no_sense_is_refused(spec: str) -> None:
    """With what does combine, and with the nearest spec."""
    with pytest.raises(UsageError, match=r"only by fl\+he.*; dp goes last.*Did you mean"):
        registry.find_technique(spec)


def test_compositions_are_listed_after_single_techniques() -> None:
    """What borrows with what lends, and then with a guard on top."""
    names = registry.technique_names()
    assert len(names) == len(set(names))
    assert names.index("he+dp") < names.index("fl+he") < names.index("fl+he+dp")
    assert "he+fl" not in names


def test_support_of_a_composition_follows_from_both() -> None:
    """Sums run; records and accumulators stay gaps of the federation."""
    technique = registry.find_technique("fl+he")
    assert technique.gap(frozenset({Op.SUM, Op.SAMPLE})) is None
    for op in (Op.SHARE, Op.HOLD, Op.CALL):
        assert isinstance(technique.gap(frozenset({op})), Gap)


def test_settings_reach_the_part_that_declares_them() -> None:
    """The federation's, the lender's and the guard's, and provenance has them all."""
    assert registry.setting_owners("fl+he+dp") == [
        registry.techniques()["fl"].settings,
        registry.techniques()["he"].settings,
        registry.guards()["dp"].settings,
    ]
    cell = Cell("chi2", "sums", "fl+he+dp", settings={"strategy": "fedavg", "epsilon": 2.0})
    kept = evaluated(cell).provenance["settings"]
    assert (kept["strategy"], kept["epsilon"]) == ("fedavg", 2.0)


def test_settings_of_who_borrows_and_who_lends_do_not_collide() -> None:
    """One flat list serves both."""
    kinds = registry.techniques().values()
    for base, lender in itertools.product(kinds, kinds):
        if base is not lender and base.borrows and not isinstance(lender.lend, Gap):
            names = [{f.name for f in describe_settings(k.settings)} for k in (base, lender)]
            assert not names[0] & names[1]


def test_missing_package_of_the_lender_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything runs."""
    he = registry.techniques()["he"]
    monkeypatch.setattr(he, "packages", {"no_such_library": "no-such-library"})
    result = evaluate(Cell("chi2", "sums", "fl+he"))
    assert result.status is Status.MISSING_PACKAGE
    assert "pip install no-such-library" in str(result.reason)


@pytest.mark.parametrize("name", ["cleartext", "fl"])
def test_technique_without_an_aggregation_of_its_own_lends_none(name: str) -> None:
    """The gap stands where the method would stand."""
    with pytest.raises(PetlabError, match="no aggregation to lend"):
        registry.find_technique(name).lend(None)


# The end of a session.


@pytest.mark.parametrize("technique", [Sharing(), federated()], ids=lambda t: t.name)
def test_session_is_closed_when_its_program_ends_or_breaks(technique: Technique) -> None:
    """What was borrowed is returned once, whatever happened."""
    before = SharesLender.closed
    ran(technique)
    assert SharesLender.closed == before + 1
    with pytest.raises(ZeroDivisionError):
        ran(technique, breaking)
    assert SharesLender.closed == before + 2


# What an active server can do, as the guarantees say.


def encrypted_parts() -> tuple[Any, Any, list[bytes], list[np.ndarray]]:
    """Three owners' encrypted contributions, what adds them and what opens the sum."""
    from petlab.techniques.he.keys import KeyPair
    from petlab.techniques.he.sums import SUMS, EncryptedSums, ReadableSums

    keys = KeyPair(SUMS)
    sums = EncryptedSums(keys.public, terms=3)
    values = [np.array([1.0, 2.0]), np.array([10.0, 20.0]), np.array([-3.0, 7.0])]
    blobs = [sums.protect(value, Bound(100.0))[0] for value in values]
    return sums, ReadableSums(keys, terms=3), blobs, values


def test_a_careless_server_is_noticed_and_a_deviating_one_shows_one_owner() -> None:
    """The canary counts terms; but the server can encrypt zeros itself, as the guarantee says."""
    sums, reader, blobs, values = encrypted_parts()
    with pytest.raises(ProtocolError, match="canary"):
        reader.open([sums.add("server", blobs[1:2])], Bound(100.0), owners=3)
    zeros = [sums.protect(np.zeros(2), Bound(100.0))[0] for _ in range(2)]
    shown = reader.open([sums.add("server", [blobs[1], *zeros])], Bound(100.0), owners=3)
    np.testing.assert_allclose(shown, values[1], atol=1e-9)
    said = evaluated(Cell("chi2", "sums", "he", "heart")).guarantee
    assert said is not None
    assert "server, if it deviates, can show a reader a single contribution" in said.not_protected
    assert "semi-honest" in said.adversary


def test_the_server_and_the_reader_together_read_one_owner() -> None:
    """They hold the ciphertexts and the key between them: the guarantee says so too."""
    _, reader, blobs, values = encrypted_parts()
    np.testing.assert_allclose(
        reader.open([blobs[1]], Bound(100.0), owners=1), values[1], atol=1e-9
    )
    said = evaluated(Cell("chi2", "sums", "fl+he", "heart")).guarantee
    assert said is not None
    assert "reader who colludes with the aggregator" in said.not_protected
    assert "aggregator, if it deviates, can show a reader" in said.not_protected


def test_one_deviating_compute_party_shows_nobody() -> None:
    """Its share of one owner beside the others' shares of all is a random number."""
    from petlab.techniques.mpc.streams import expanded, joined, split

    values = [np.array([1, 2]), np.array([10, 20]), np.array([-3, 7])]
    seen = []
    for _ in range(2):
        sent = [split(value.astype(np.int64), 3) for value in values]
        held = [[expanded(share[k], (2,)) for share in sent] for k in range(3)]
        np.testing.assert_array_equal(joined([joined(h) for h in held]), [8, 29])
        seen.append(joined([held[0][1], *(joined(h) for h in held[1:])]))
    assert (np.abs(np.concatenate(seen).astype(float)) > 1e6).all()
    assert (seen[0] != seen[1]).all()


def test_other_models_for_others_single_one_owner_out() -> None:
    """What a deviating aggregator can do, whatever protects contributions, as is said."""
    from petlab.algorithms.perceptron.network import initial_parameters
    from petlab.algorithms.perceptron.sums import gradient, network_state

    rng = np.random.default_rng(0)
    shards = [
        Shard(name, 5, {"features": rng.uniform(0.1, 1, (5, 4)), "classes": np.full(5, k % 2)})
        for k, name in enumerate(owner_names(3))
    ]
    weights = initial_parameters([4, 3, 2], seed=0)
    honest = network_state(weights, [4, 3, 2], "relu", None)
    dead = weights.copy()
    dead[:12] = -1.0  # no hidden unit is ever active
    dead[-2:] = [0.0, 0.0]
    sent = [network_state(dead, [4, 3, 2], "relu", None), honest]
    total = sum(gradient(sent[k == 1], shard, {}).total() for k, shard in enumerate(shards))
    alone = gradient(honest, shards[1], {}).total()
    first_layer = slice(0, 12)
    np.testing.assert_allclose(total[first_layer], alone[first_layer], atol=1e-12)
    assert np.abs(alone[first_layer]).max() > 1e-3
    for technique in ("fl+he", "fl+mpc"):
        said = evaluated(Cell("chi2", "sums", technique, "heart")).guarantee
        assert said is not None
        assert "send owners other models" in said.not_protected
