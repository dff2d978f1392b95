"""Homomorphic encryption: the server opens nothing, and nothing decrypts to silent garbage."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tenseal as ts
import toy_programs as toys
from studies import (
    payloads,
    public_of,
    raw_record_found,
    recorded,
    records_of,
    spread,
)

from petlab.core.aggregation import Bound
from petlab.core.party import SERVER, Shard
from petlab.core.plan import Public
from petlab.core.session import Opening, Session
from petlab.errors import DataError, OutOfRange, ProtocolError, UsageError
from petlab.running import registry
from petlab.techniques.he import counts, records
from petlab.techniques.he.keys import KeyPair, PublicKey, frame, unframe
from petlab.techniques.he.sums import PLAIN_MODULUS, SUMS, ReadableSums

# HomomorphicEncryption.org standard (2018), table 1: largest log q at 128 bits, ternary secret.
MOST_BITS = {1024: 27, 2048: 54, 4096: 109, 8192: 218, 16384: 438}
REALS = Bound(100.0)
COUNTS = Bound(1000.0, integer=True)


@pytest.fixture(scope="module")
def sum_keys() -> KeyPair:
    """Keys for encrypted sums."""
    return KeyPair(SUMS)


def study(name: str) -> tuple[Session, Any, list[Shard]]:
    """A recorded run under encryption: its session, answer and shards."""
    he = registry.find_technique("he")
    if name == "weights":
        rng = np.random.default_rng(3)
        shards = [
            Shard(f"owner-{k}", 20, {"x": rng.normal(size=(20, 3)), "y": rng.integers(0, 2, 20)})
            for k in (1, 2)
        ]
        public = Public(features=("a", "b", "c"))
        plan = toys.encrypted_weights.plan(toys.Settings(steps=2), public)
        session = he.open(Opening(shards, plan, record=True))
        return session, toys.encrypted_weights(session, plan), shards
    task_name, program_name = name.split("/")
    task = registry.find_task(task_name)
    given: dict[str, Any] = {}
    if task_name == "logreg" and program_name == "sums":
        given = {"iterations": 2}
    if task_name == "deep":
        given = {"epochs": 1, "hidden": "4", "activation": "square"}
    settings, program = task.settings(**given), task.programs[program_name]
    found = records_of(task_name, "wdbc", settings, rows=120)
    public = public_of(found, 2)
    if program_name == "linked":
        shards = [
            Shard(f"owner-{k + 1}", 120, {column: found[column]})
            for k, column in enumerate(("disease", "factor"))
        ]
    elif program_name == "score":
        public = replace(public, levels={"scored": 120})
        shards = [
            Shard("owner-1", 120, found.arrays),
            Shard(SERVER, 0, task.model(found, settings)),
        ]
    else:
        shards = spread(found, 2)
    plan = program.plan(settings, public)
    session = he.open(Opening(shards, plan, record=True))
    return session, program(session, plan), shards


STUDIES = ["chi2/sums", "logreg/sums", "elm/sums", "deep/sums", "logreg/score", "deep/score"]
EVERYWHERE = [*STUDIES, "weights"]


@pytest.fixture(scope="module", params=EVERYWHERE)
def ran(request: pytest.FixtureRequest) -> tuple[str, Session, list[Shard]]:
    """Each program once, with all payloads."""
    session, _, shards = study(request.param)
    return request.param, session, shards


def ciphertexts(message: bytes) -> list[bytes]:
    """Blobs in a framed message, parsed here anew: 16 bytes of key name, count, lengths."""
    (count,) = struct.unpack_from("<I", message, 16)
    found, at = [], 20
    for _ in range(count):
        (length,) = struct.unpack_from("<I", message, at)
        found.append(message[at + 4 : at + 4 + length])
        at += 4 + length
    return found


def decrypted(context: Any, blob: bytes, study: str) -> Any:
    """What TenSEAL makes of a blob under a context, as the kind that this study sends."""
    load = ts.ckks_tensor_from if study.endswith("/score") else ts.bfv_vector_from
    return load(context, blob).decrypt()


def secret_pieces(context: Any) -> list[bytes]:
    """Pieces of the secret key's bytes, as any serialisation of that key would hold them."""
    key = context.serialize(
        save_public_key=False, save_secret_key=True, save_galois_keys=False, save_relin_keys=False
    )
    shared = context.serialize(
        save_public_key=False, save_secret_key=False, save_galois_keys=False, save_relin_keys=False
    )
    start = len(shared) + 200  # past the parameters and the key's own header
    return [key[at : at + 24] for at in range(start, len(key) - 100, len(key) // 20)]


def test_nothing_the_server_holds_decrypts(ran: tuple[str, Session, list[Shard]]) -> None:
    """All contexts it got are public, and no message to it opens under any of them."""
    name, session, _ = ran
    view = session.transcript.view(SERVER)
    contexts = [ts.context_from(m.payload) for m in view if m.label == "public key"]
    assert contexts
    assert not any(context.is_private() for context in contexts)
    held = [m.payload for m in view if m.label not in ("public key", "state", "call")]
    blobs = [blob for payload in held for blob in ciphertexts(payload)]
    assert blobs
    for context in contexts:
        for blob in blobs:
            with pytest.raises(ValueError, match="secret"):
                decrypted(context, blob, name)
    # The reader opens the same blobs, so the attempt above could have succeeded.
    readers = [pair.secret for pair in session._keyring.pairs.values()]
    assert [decrypted(secret, blobs[0], name) for secret in readers]


def test_no_secret_key_reaches_the_server(ran: tuple[str, Session, list[Shard]]) -> None:
    """No piece of any secret key stands in any message to the server."""
    name, session, _ = ran
    held = [m.payload for m in session.transcript.view(SERVER)]
    elsewhere = [m.payload for m in session.transcript.messages]
    for pair in session._keyring.pairs.values():
        pieces = secret_pieces(pair.secret)
        assert len(pieces) > 5
        whole = pair.secret.serialize(save_secret_key=True)
        assert all(piece in whole for piece in pieces)  # this is what a leak would look like
        assert not any(piece in payload for piece in pieces for payload in held)
        # Readers of one accumulator share their key, with each other only.
        shared = any(piece in payload for piece in pieces for payload in elsewhere)
        assert shared == (name == "weights")


def test_no_raw_record_travels(ran: tuple[str, Session, list[Shard]]) -> None:
    """No message to anybody holds a record."""
    name, session, shards = ran
    field = "x" if name == "weights" else "features"
    sent = [m.payload for m in session.transcript.messages]
    for shard in shards:
        if shard.owner == SERVER:
            continue  # a model, not records
        if field in shard.arrays:
            assert not raw_record_found(sent, shard[field])
        else:
            for values in shard.arrays.values():
                for kind in ("<i8", "<i4", "<i2", "i1", "<f8", "<f4"):
                    assert not any(values.astype(kind).tobytes() in payload for payload in sent)


@pytest.mark.parametrize("task", ["logreg", "elm", "deep"])
def test_federated_aggregator_receives_no_record(task: str) -> None:
    """Flower's messages hold totals; the same search finds the records of a pooled run."""
    found = registry.find_task(task)
    settings = found.settings(epochs=1, hidden="4") if task == "deep" else found.settings()
    data = records_of(task, "wdbc", settings, rows=120)
    program = found.programs["sums"]
    federated = recorded("fl", program, spread(data, 2), settings, data.public)
    assert payloads(federated, "aggregator")
    assert not raw_record_found(payloads(federated), data["features"])
    pooled = recorded("cleartext", program, spread(data, 2), settings, data.public)
    assert raw_record_found(payloads(pooled), data["features"])


def test_owner_with_too_few_records_is_refused() -> None:
    """The Gram matrix of a handful of records would show them."""
    task = registry.find_task("elm")
    data = records_of("elm", "wdbc", task.settings(), rows=30)
    shards = spread(data, 2)
    few = [shards[0], Shard("owner-2", 4, shards[1].take(np.arange(4)).arrays)]
    with pytest.raises(DataError, match="fewer than 10"):
        recorded("fl", task.programs["sums"], few, task.settings(), data.public)
    with pytest.raises(DataError, match="fewer than 10"):
        recorded("he", task.programs["sums"], few[1:], task.settings(), data.public)


def test_who_adds_ciphertexts_gets_no_key() -> None:
    """A server that is also the reader would decrypt every contribution."""
    session, _, _ = study("chi2/sums")
    with pytest.raises(ProtocolError, match="must hold no key"):
        session._aggregation(SERVER, terms=2)


def test_owner_with_few_records_takes_part_where_nobody_reads_it_alone() -> None:
    """Its contribution is added before it is opened."""
    task = registry.find_task("elm")
    data = records_of("elm", "wdbc", task.settings(), rows=30)
    shards = spread(data, 2)
    few = [shards[0], Shard("owner-2", 4, shards[1].take(np.arange(4)).arrays)]
    recorded("he", task.programs["sums"], few, task.settings(), data.public)


# Sums.


def test_encrypted_sum_is_exact(sum_keys: KeyPair) -> None:
    """Integers are added without error, negatives and the bound itself included."""
    sums = ReadableSums(sum_keys, terms=3)
    rng = np.random.default_rng(0)
    totals = [rng.integers(-1000, 1001, 9000).astype(float) for _ in range(3)]
    totals[0][:2], totals[1][:2], totals[2][:2] = (1000, -1000), (1000, -1000), (1000, -1000)
    blob = sums.add(SERVER, [sums.protect(total, COUNTS)[0] for total in totals])
    np.testing.assert_array_equal(sums.open([blob], COUNTS, owners=3), sum(totals))


def test_encrypted_sum_of_reals_has_the_declared_grid(sum_keys: KeyPair) -> None:
    """Fixed point: the error is at most half a unit a term, far below a float32's."""
    sums = ReadableSums(sum_keys, terms=2)
    values = np.random.default_rng(0).uniform(-100, 100, (2, 50))
    blob = sums.add(SERVER, [sums.protect(v, REALS)[0] for v in values])
    error = np.abs(sums.open([blob], REALS, owners=2) - values.sum(0)).max()
    assert error <= 2.0 ** -sums.scale_bits(REALS) + 1e-13
    assert 2.0 ** -sums.scale_bits(REALS) < 1e-12


@pytest.mark.parametrize("limit", [1.0, 3.7, 1e6, 1e12])
@pytest.mark.parametrize("terms", [1, 2, 1000])
def test_sum_at_its_bound_does_not_wrap(sum_keys: KeyPair, limit: float, terms: int) -> None:
    """All terms at their bound stay under half the plaintext modulus, with no bit to spare."""
    bits = ReadableSums(sum_keys, terms=terms).scale_bits(Bound(limit))
    assert limit * terms * 2**bits <= PLAIN_MODULUS / 2 < limit * terms * 2 ** (bits + 1)


def test_bound_without_room_is_refused(sum_keys: KeyPair) -> None:
    """A bound past the plaintext modulus raises, with the cure, before anything is sent."""
    sums = ReadableSums(sum_keys, terms=4)
    with pytest.raises(OutOfRange, match="records_max"):
        sums.protect(np.zeros(3), Bound(1e17))


@pytest.mark.parametrize("value", [100.5, -101.0, np.inf, np.nan])
def test_value_over_its_bound_is_not_encrypted(sum_keys: KeyPair, value: float) -> None:
    """It would wrap around and spoil the sum without a word."""
    sums = ReadableSums(sum_keys, terms=1)
    with pytest.raises(OutOfRange, match="nothing was sent"):
        sums.protect(np.array([0.0, value]), REALS)


def test_fraction_declared_as_integer_is_refused(sum_keys: KeyPair) -> None:
    """Rounding it in silence would make a count wrong."""
    sums = ReadableSums(sum_keys, terms=1)
    with pytest.raises(OutOfRange, match="fractions"):
        sums.protect(np.array([0.5]), COUNTS)


def test_ciphertext_of_another_key_is_refused(sum_keys: KeyPair) -> None:
    """By the aggregator and by the reader: TenSEAL itself would return garbage."""
    other = KeyPair(SUMS)
    ours = ReadableSums(sum_keys, terms=2)
    theirs = ReadableSums(other, terms=2)
    blob, foreign = (s.protect(np.ones(3), COUNTS)[0] for s in (ours, theirs))
    with pytest.raises(ProtocolError, match="another key"):
        ours.add(SERVER, [blob, foreign])
    with pytest.raises(ProtocolError, match="another key"):
        ours.open([foreign], COUNTS, owners=1)


def test_garbage_under_a_forged_key_name_meets_the_canary(sum_keys: KeyPair) -> None:
    """Another key's ciphertext that claims to be ours decrypts to noise, and that is noticed."""
    other = KeyPair(SUMS)
    (theirs,) = ReadableSums(other, terms=1).protect(np.ones(3), COUNTS)
    forged = sum_keys.public.fingerprint + theirs[16:]
    ours = ReadableSums(sum_keys, terms=1)
    with pytest.raises(ProtocolError, match="canary"):
        ours.open([forged], COUNTS, owners=1)


def test_exhausted_noise_budget_meets_the_canary(sum_keys: KeyPair) -> None:
    """A ciphertext multiplied until its noise swallows the message is not opened."""
    context = sum_keys.public.context
    vector = ts.bfv_vector(context, [1] * 8192)
    rng = np.random.default_rng(0)
    for _ in range(4):
        half = PLAIN_MODULUS // 2
        factors = rng.integers(-half, half, 8192)
        factors[0] = 1  # a correct product would keep the canary
        vector = vector * factors.tolist()
    blob = frame(sum_keys.public.fingerprint, [vector.serialize()])
    sums = ReadableSums(sum_keys, terms=1)
    with pytest.raises(ProtocolError, match="canary"):
        sums.open([blob], COUNTS, owners=1)


@pytest.mark.parametrize("claimed", [1, 3])
def test_missing_or_doubled_term_meets_the_canary(sum_keys: KeyPair, claimed: int) -> None:
    """The reader knows how many owners must be in the sum."""
    sums = ReadableSums(sum_keys, terms=3)
    blob = sums.add(SERVER, [sums.protect(np.ones(3), COUNTS)[0] for _ in range(2)])
    with pytest.raises(ProtocolError, match="canary"):
        sums.open([blob], COUNTS, owners=claimed)


def test_more_terms_than_planned_are_not_added(sum_keys: KeyPair) -> None:
    """The scale left room for the planned ones."""
    sums = ReadableSums(sum_keys, terms=1)
    (blob,) = sums.protect(np.ones(3), COUNTS)
    with pytest.raises(ProtocolError, match="planned terms"):
        sums.add(SERVER, [blob, blob])


@pytest.mark.parametrize("keep", [0, 10, 19, 22, 5000, -1])
def test_truncated_message_is_refused(sum_keys: KeyPair, keep: int) -> None:
    """Wherever it is cut."""
    sums = ReadableSums(sum_keys, terms=1)
    (blob,) = sums.protect(np.ones(3), COUNTS)
    with pytest.raises(ProtocolError):
        sums.open([blob[:keep]], COUNTS, owners=1)


def test_message_with_a_tail_is_refused(sum_keys: KeyPair) -> None:
    """Nothing rides along unseen."""
    sums = ReadableSums(sum_keys, terms=1)
    (blob,) = sums.protect(np.ones(3), COUNTS)
    with pytest.raises(ProtocolError, match="wrong length"):
        sums.open([blob + b"x"], COUNTS, owners=1)


def test_frames_hold_what_was_put_in() -> None:
    """Ciphertexts of any length come out as they went in."""
    blobs = [b"", b"a", b"bc" * 500]
    assert unframe(b"k" * 16, frame(b"k" * 16, blobs)) == blobs


def test_private_context_is_not_accepted_as_a_public_key(sum_keys: KeyPair) -> None:
    """A party that is sent a secret key refuses it."""
    with pytest.raises(ProtocolError, match="secret key"):
        PublicKey(SUMS, sum_keys.secret.serialize(save_secret_key=True))


# Parameters.


SCHEMES = [SUMS, *(records.scheme_for(depth) for depth in range(1, 6))]


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_parameters_meet_128_bits(scheme: Any) -> None:
    """log q is within the standard's table for the degree, and TenSEAL builds the context."""
    assert sum(scheme.primes) <= MOST_BITS[scheme.degree]
    assert not KeyPair(scheme).public.context.is_private()


def test_parameters_of_counts_meet_128_bits() -> None:
    """SEAL builds the context, and refuses one bit more."""
    import seal

    assert sum(counts.COUNTS.primes) <= MOST_BITS[counts.COUNTS.degree]
    assert counts._context().parameters_set()
    parameters = seal.EncryptionParameters(seal.scheme_type.bfv)
    parameters.set_poly_modulus_degree(8192)
    parameters.set_plain_modulus(counts.PLAIN_MODULUS)
    parameters.set_coeff_modulus(seal.CoeffModulus.Create(8192, [55, 55, 55, 55]))
    assert not seal.SEALContext(parameters).parameters_set()


def test_tenseal_refuses_weaker_parameters() -> None:
    """Its own check, on which the guarantee's 128 bits rest, does refuse."""
    with pytest.raises(ValueError, match="parameters"):
        ts.context(ts.SCHEME_TYPE.CKKS, 8192, coeff_mod_bit_sizes=[60, 60, 60, 60])


def test_plaintext_modulus_is_a_prime_that_packs() -> None:
    """Not prime, or not 1 mod 2 N: TenSEAL would compute garbage."""
    t = SUMS.plain
    assert t % (2 * SUMS.degree) == 1
    d, s = t - 1, 0
    while d % 2 == 0:
        d, s = d // 2, s + 1
    for a in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37):  # exact below 3.3e24
        x = pow(a, d, t)
        assert x in (1, t - 1) or any((x := x * x % t) == t - 1 for _ in range(s - 1))


def test_circuit_that_is_too_deep_is_refused() -> None:
    """Before any key is made."""
    with pytest.raises(UsageError, match="too deep"):
        records.scheme_for(6)


def test_scores_past_the_headroom_are_refused() -> None:
    """CKKS would wrap them around without a word."""
    keys = KeyPair(records.scheme_for(1))
    encrypted = records.load(keys.public, records.encrypt(keys.public, np.ones((2, 2))), 1.0)
    with pytest.raises(OutOfRange, match="headroom"):
        records.product(encrypted, np.full((2, 2), 2.0**19), keys.public)


# The slots that a sum leaves behind.


def test_hidden_slots_of_tenseals_own_dot_product_show_single_people() -> None:
    """`.dot()` says one number; with its size field edited it shows partial sums of people."""
    context = ts.context(ts.SCHEME_TYPE.BFV, 8192, 65537, coeff_mod_bit_sizes=[45, 45, 45])
    context.generate_galois_keys()
    rng = np.random.default_rng(0)
    disease, genotype = rng.integers(0, 2, 16), rng.integers(0, 2, 16)
    blob = ts.bfv_vector(context, disease.tolist()).dot(genotype.tolist()).serialize()
    shown = None
    for at in [*range(12), *range(len(blob) - 12, len(blob))]:
        if blob[at] == 1:
            edited = bytearray(blob)
            edited[at] = 16
            try:
                shown = ts.bfv_vector_from(context, bytes(edited)).decrypt()
            except (ValueError, RuntimeError):
                continue
            if len(shown) == 16:
                break
    assert shown is not None
    assert len(shown) == 16
    assert shown[0] == disease @ genotype
    assert len(set(shown)) > 1


def test_encrypted_rows_are_not_opened_before_masking() -> None:
    """Revealing the protected vector itself would show single people."""
    rng = np.random.default_rng(11)
    shards = [
        Shard("owner-1", 50, {"disease": rng.integers(0, 2, 50)}),
        Shard("owner-2", 50, {"factor": rng.integers(0, 3, 50)}),
    ]
    linked = registry.find_task("chi2").programs["linked"]
    public = Public(levels={"disease": 2, "factor": 50})
    plan = linked.plan(registry.find_task("chi2").settings(), public)
    session = registry.find_technique("he").open(Opening(shards, plan))
    rows = session.share(one_hot_disease, owner="owner-1", layout="slots")
    with pytest.raises(ProtocolError, match="masking"):
        session.reveal(rows, to="analyst")


def one_hot_disease(shard: Shard) -> np.ndarray:
    """Disease bits, people along the last axis."""
    return np.eye(2)[shard["disease"]].T


def secrets_in(thing: Any, seen: set[int] | None = None) -> list[Any]:
    """Key pairs and private contexts that can be reached from an object's attributes."""
    seen = set() if seen is None else seen
    if id(thing) in seen:
        return []
    seen.add(id(thing))
    private = isinstance(thing, KeyPair) or (isinstance(thing, ts.Context) and thing.is_private())
    inside = vars(thing).values() if hasattr(thing, "__dict__") else ()
    return [thing] * private + [found for value in inside for found in secrets_in(value, seen)]


def test_what_adds_ciphertexts_has_no_secret_key_and_what_opens_them_has() -> None:
    """The aggregator's object reaches no private context; the reader's does, so this can fail."""
    session, _, _ = study("chi2/sums")
    assert not secrets_in(session._aggregation("analyst", terms=2))
    assert secrets_in(session._opener("analyst", terms=2))
    assert not hasattr(session._aggregation("analyst", terms=2), "open")
