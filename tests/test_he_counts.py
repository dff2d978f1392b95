"""Linked counts: exact, and their reader learns nothing about single people.

The reader holds the key. It can look at every coefficient of an answer, at its noise and at its
second polynomial, and it may have seen the ciphertexts that the answer was made of. Each attack
here is shown to work on an answer whose protection was taken away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import seal_ring
from scipy import stats

from petlab.errors import OutOfRange, ProtocolError
from petlab.techniques.he import counts
from petlab.techniques.he.counts import DEGREE, PLAIN_MODULUS, CountKeys, Packing
from petlab.techniques.he.keys import frame, unframe

PEOPLE = 300


@pytest.fixture(scope="module")
def keys() -> CountKeys:
    """Keys for linked counts."""
    return CountKeys()


@pytest.fixture(scope="module")
def secret(keys: CountKeys) -> np.ndarray:
    """The reader's secret polynomial."""
    return seal_ring.secret_coefficients(keys)


def people(count: int, columns: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Disease bits (2, n) and genotype indicators (n, columns)."""
    rng = np.random.default_rng(11)
    return (
        np.eye(2, dtype=int)[rng.integers(0, 2, count)].T,
        np.eye(columns, dtype=int)[rng.integers(0, columns, count)],
    )


def answered(
    keys: CountKeys, disease: np.ndarray, genotype: np.ndarray
) -> tuple[list[bytes], list[bytes], Packing]:
    """The encrypted rows, the answers, and how they are packed."""
    how = counts.packing(disease.shape[1], genotype.shape[1])
    sent = counts.encrypt_rows(keys.public, disease, how)
    back = counts.masked_products(keys.public, sent, genotype, len(disease), how)
    name = keys.public.fingerprint
    return unframe(name, sent), unframe(name, back), how


@pytest.mark.parametrize("columns", [1, 3, 40])
@pytest.mark.parametrize("count", [1, 500, 8192, 9000])
def test_counts_are_exact(keys: CountKeys, count: int, columns: int) -> None:
    """For one person, for a full ciphertext and for more people than it has coefficients."""
    disease, genotype = people(count, columns)
    _, answers, how = answered(keys, disease, genotype)
    blob = frame(keys.public.fingerprint, answers)
    found = counts.open_counts(keys, blob, (2, columns), how)
    np.testing.assert_array_equal(found, disease @ genotype)


@pytest.mark.parametrize("columns", [1, 6, 3000])
@pytest.mark.parametrize("count", [1, 333, 30_000, 1_000_000, counts.PEOPLE_MAX])
def test_flooding_has_forty_bits_whatever_the_size(count: int, columns: int) -> None:
    """And the whole noise stays below what decrypts."""
    assert counts.packing(count, columns).hidden_bits >= 40
    assert counts.FLOOD_BITS + 2 < 108 - counts.PLAIN_BITS - 1


def test_flooding_is_measured_and_not_only_computed(keys: CountKeys, secret: np.ndarray) -> None:
    """The answer's noise is uniform below 2^FLOOD_BITS; without flooding it is 2^60 smaller."""
    disease, genotype = people(PEOPLE)
    _, answers, how = answered(keys, disease, genotype)
    noise = seal_ring.noise_of(keys, secret, answers[0])
    limit = 2.0**counts.FLOOD_BITS
    assert stats.kstest(noise / limit, "uniform", args=(-1, 2)).pvalue > 1e-7
    bare = seal_ring.noise_of(keys, secret, without("_flooded", keys, disease, genotype)[0])
    assert np.abs(bare).max() < limit / 2.0**how.hidden_bits
    assert np.abs(bare).max() > limit / 2.0 ** (how.hidden_bits + 12), "the bound is not absurd"


PASSED: dict[str, Callable[..., Any]] = {
    "_flooded": lambda key, blob: blob,
    "_fresh_mask": lambda key, how: key.encrypt(np.zeros(DEGREE, np.uint64)),
}
"""What an answer is without each protection."""


def without(
    protection: str, keys: CountKeys, disease: np.ndarray, genotype: np.ndarray
) -> list[bytes]:
    """Answers whose maker left a protection out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counts, protection, PASSED[protection])
        return answered(keys, disease, genotype)[1]


# What stands in the other coefficients.


def coefficients(keys: CountKeys, blob: bytes) -> np.ndarray:
    """All that decrypts."""
    return counts._coefficients(keys, blob).astype(np.int64)


def test_other_coefficients_are_uniform(keys: CountKeys) -> None:
    """Afresh in every answer, whoever the people are."""
    disease, genotype = people(PEOPLE)
    _, first, how = answered(keys, disease, genotype)
    _, again, _ = answered(keys, disease, genotype)
    shown, other = coefficients(keys, first[0]), coefficients(keys, again[0])
    masked = np.ones(DEGREE, bool)
    masked[how.block - 1 :: how.block] = False
    assert (shown[masked] != other[masked]).mean() > 0.999
    assert stats.kstest(shown[masked] / PLAIN_MODULUS, "uniform").pvalue > 1e-7


def test_other_coefficients_count_parts_of_people_without_a_mask(keys: CountKeys) -> None:
    """The outermost is one person's product: the attack is real."""
    disease, genotype = people(PEOPLE, 1)
    disease[:] = 1
    bare = coefficients(keys, without("_fresh_mask", keys, disease, genotype)[0])
    how = counts.packing(PEOPLE, 1)
    partial = bare[how.block - 1 - np.arange(PEOPLE)]
    persons = -np.diff(np.r_[partial, 0])  # everybody from person k on, and one fewer
    np.testing.assert_array_equal(persons, genotype[:, 0])


# What the noise tells.


def recovered_from_noise(
    keys: CountKeys, secret: np.ndarray, sent: bytes, answer: bytes, how: Packing
) -> np.ndarray:
    """Genotypes by dividing an answer's noise by that of what it was made of."""
    ratio = seal_ring.evaluated(seal_ring.noise_of(keys, secret, answer)) / seal_ring.evaluated(
        seal_ring.noise_of(keys, secret, sent)
    )
    packed = np.rint(seal_ring.interpolated(ratio))
    return packed.reshape(how.columns, how.block)[:, ::-1][:, :PEOPLE].T


def test_noise_gives_no_genotype_away(keys: CountKeys, secret: np.ndarray) -> None:
    """Not even to a reader who was told the encrypted rows by their owner."""
    disease, genotype = people(PEOPLE)
    sent, answers, how = answered(keys, disease, genotype)
    found = recovered_from_noise(keys, secret, sent[0], answers[0], how)
    assert (found[:, :3] == genotype).mean() < 0.01, "numbers of 70 bits are never 0 or 1"


def test_noise_gives_every_genotype_away_without_flooding(
    keys: CountKeys, secret: np.ndarray
) -> None:
    """The attack is real: every person, exactly."""
    disease, genotype = people(PEOPLE)
    how = counts.packing(PEOPLE, 3)
    with pytest.MonkeyPatch.context() as patch:
        for name, passed in PASSED.items():
            patch.setattr(counts, name, passed)
        sent, answers, how = answered(keys, disease, genotype)
    found = recovered_from_noise(keys, secret, sent[0], answers[0], how)
    assert (found[:, :3] == genotype).mean() > 0.99


def transparent(key: Any, products: list[Any], how: Packing) -> bytes:
    """Add products up and hide nothing."""
    total = products[0]
    for product in products[1:]:
        key.evaluator.add_inplace(total, product)
    key.evaluator.transform_from_ntt_inplace(total)
    return total.to_string()


@pytest.mark.parametrize("hidden", [True, False], ids=["hidden", "bare"])
def test_a_rare_column_betrays_no_other(keys: CountKeys, secret: np.ndarray, hidden: bool) -> None:
    """The reader alone: a count of one leaves as many candidates as there are people.

    The right one turns the answer's noise into that of the encrypted row, which then opens all
    other answers. It is known by what it opens: bits, and nothing where nobody is.
    """
    rng = np.random.default_rng(5)
    disease = np.ones((1, PEOPLE), int)
    # As many columns as one answer holds, twice: the first answer has one person in all.
    how = Packing(PEOPLE, 512)
    genotype = np.zeros((PEOPLE, 2 * how.columns), int)
    genotype[137, 0] = 1
    genotype[:, how.columns :] = rng.random((PEOPLE, how.columns)) < 0.2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counts, "packing", lambda *_: how)
        if not hidden:
            patch.setattr(counts, "_hidden", transparent)
        _, answers, _ = answered(keys, disease, genotype)
    rare, common = (seal_ring.evaluated(seal_ring.noise_of(keys, secret, a)) for a in answers)

    def opened(person: int) -> np.ndarray:
        candidate = np.zeros(DEGREE)
        candidate[how.block - 1 - person] = 1
        packed = seal_ring.interpolated(common / rare * seal_ring.evaluated(candidate))
        return np.rint(packed).reshape(how.columns, how.block)[:, ::-1].T

    best = min(range(PEOPLE), key=lambda k: np.abs(opened(k)[PEOPLE:]).sum())
    carriers = genotype[:, how.columns :] == 1
    found = (opened(best)[:PEOPLE] == 1)[carriers].mean()
    if hidden:
        assert found < 0.02
    else:
        assert best == 137
        np.testing.assert_array_equal(opened(best)[:PEOPLE], genotype[:, how.columns :])


# What the second polynomial tells.


def quotient(keys: CountKeys, answer: bytes, sent: bytes) -> np.ndarray:
    """The factor between second polynomials modulo the first prime, at the roots."""
    prime = keys.public.primes[0]
    of = [_at_roots(seal_ring.parts(keys, blob)[1, 0], prime) for blob in (answer, sent)]
    inverse = np.array([pow(int(x), -1, prime) for x in of[1]], object)
    return of[0] * inverse % prime


def _at_roots(words: np.ndarray, prime: int) -> np.ndarray:
    root = seal_ring._primitive_root(prime)
    powers, power = [], 1
    for word in words:
        powers.append(int(word) * power % prime)
        power = power * root % prime
    unroot = pow(pow(root, 2, prime), -1, prime)
    return np.array(seal_ring._inverse_transform(powers, unroot, prime), object)


@pytest.mark.parametrize("fresh", [True, False], ids=["fresh", "bare"])
def test_the_second_polynomial_tells_nothing(keys: CountKeys, fresh: bool) -> None:
    """An answer's is a product with the matrix, unless a fresh encryption was added."""
    disease, genotype = people(PEOPLE)
    how = counts.packing(PEOPLE, 3)
    with pytest.MonkeyPatch.context() as patch:
        if not fresh:
            patch.setattr(counts, "_hidden", transparent)
        sent, answers, how = answered(keys, disease, genotype)
    prime = keys.public.primes[0]
    packed = counts._interleaved(genotype, how)[0]
    expected = _at_roots(packed, prime)
    same = (quotient(keys, answers[0], sent[0]) == expected).mean()
    assert same == (0 if fresh else 1)


# Refusals.


def test_anything_but_bits_is_refused(keys: CountKeys) -> None:
    """Other values could pass the plaintext modulus, at either owner."""
    how = counts.packing(2, 1)
    with pytest.raises(OutOfRange, match="0/1"):
        counts.encrypt_rows(keys.public, np.array([[0.0, 2.0]]), how)
    sent = counts.encrypt_rows(keys.public, np.array([[0, 1]]), how)
    with pytest.raises(OutOfRange, match="0/1"):
        counts.masked_products(keys.public, sent, np.array([[3], [0]]), 1, how)


def test_more_people_than_counts_tell_apart_are_refused() -> None:
    """Before anything is encrypted."""
    with pytest.raises(OutOfRange, match="at most"):
        counts.packing(PLAIN_MODULUS, 3)


def test_rows_of_other_people_are_refused(keys: CountKeys) -> None:
    """A count over people who do not match would be a wrong number."""
    disease, _ = people(9000)
    how = counts.packing(9000, 3)
    sent = counts.encrypt_rows(keys.public, disease, how)
    with pytest.raises(ProtocolError, match="other people"):
        counts.masked_products(
            keys.public, sent, np.ones((20_000, 3), int), 2, Packing(20_000, 8192)
        )


def test_damaged_answers_are_refused_or_right(keys: CountKeys) -> None:
    """Never a count of more people than there are, and never an error of Python's."""
    disease, genotype = people(PEOPLE)
    _, answers, how = answered(keys, disease, genotype)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(40):
        blob = bytearray(answers[0])
        blob[int(rng.integers(len(blob)))] ^= int(rng.integers(1, 256))
        message = frame(keys.public.fingerprint, [bytes(blob), *answers[1:]])
        try:
            found = counts.open_counts(keys, message, (2, 3), how)
        except ProtocolError:
            refused += 1
            continue
        np.testing.assert_array_equal(found, disease @ genotype)
    assert refused


def test_what_is_sent_has_no_secret_key() -> None:
    """No piece of it stands in any message of a study, and no message opens without it."""
    import seal
    from studies import records_of

    from petlab.core.party import Shard
    from petlab.core.session import Opening
    from petlab.running import registry

    task = registry.find_task("chi2")
    records = records_of("chi2", "apoe", task.settings())
    shards = [
        Shard("owner-1", len(records.labels), {"disease": records["disease"]}),
        Shard("owner-2", len(records.labels), {"factor": records["factor"]}),
    ]
    program = task.programs["linked"]
    plan = program.plan(task.settings(), records.public)
    session = registry.find_technique("he").open(Opening(shards, plan, record=True))
    program(session, plan)
    (pair,) = session._keyring.pairs.values()
    whole = pair.secret.to_string()
    pieces = [whole[at : at + 24] for at in range(200, len(whole) - 100, len(whole) // 20)]
    messages = [m.payload for m in session.transcript.messages]
    assert sum(len(payload) > 100_000 for payload in messages) >= 4
    assert not any(piece in payload for piece in pieces for payload in messages)
    stranger = seal.Decryptor(counts._context(), CountKeys().secret)
    (answers,) = [m.payload for m in session.transcript.messages if m.label == "masked counts"]
    for blob in unframe(pair.public.fingerprint, answers):
        assert stranger.invariant_noise_budget(pair.public.load(blob)) == 0
        assert pair.decryptor.invariant_noise_budget(pair.public.load(blob)) > 0


def test_what_owners_hold_has_no_secret_key(keys: CountKeys) -> None:
    """A secret key that was sent in place of a public one does not load as one."""
    with pytest.raises(ProtocolError, match="no public key"):
        counts.PublicCounts(keys.secret.to_string())
    assert not any("secret" in name for name in vars(keys.public))
