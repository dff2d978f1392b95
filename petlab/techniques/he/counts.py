"""Counts between linked owners: one's encrypted bits times the other's plain matrix.

Block packing. A plaintext or ciphertext is a polynomial of degree under N, modulo x^N + 1. The
people are cut into chunks of B. Ciphertext k of a row holds the bits of chunk k at x^0, x^1, ...,
x^(B-1). A plaintext holds S = N / B columns at once: the bit of person i in column s stands at
x^(sB + B-1-i). In the sum over chunks of their products, coefficient sB + B-1 is the number of
people with both bits: persons i and j meet at sB + B-1 + (i - j), whose distance from there is
under B, and what wraps around lands below B-1. As many multiplications as one column at a time
would need, and S times fewer answers.

Circuit privacy. The reader holds the key, so that an answer shows it more than its plaintext: the
other coefficients, which count parts of people; the second polynomial; and the noise, which is
the encrypted bits' noise times the plain matrix. Each of them gives the matrix away, person by
person. So an answer gets a fresh encryption of a mask, uniform in every coefficient that is not a
count, and its noise is flooded with uniform noise that is at least 2^40 times as large.

References
----------
.. [1] Gentry, Fully homomorphic encryption using ideal lattices, STOC 2009, section 4 (flooding).
.. [2] de Castro, Juvekar, Vaikuntanathan, Fast vector oblivious linear evaluation from ring
   learning with errors, WAHC 2021 (flooding of BFV products, and how much of it is needed).
"""

from __future__ import annotations

import hashlib
import math
import secrets
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from petlab.errors import OutOfRange, ProtocolError
from petlab.techniques.he.keys import Scheme, frame, unframe

PLAIN_BITS = 22
PLAIN_MODULUS = 1 << PLAIN_BITS
DEGREE = 8192
COUNTS = Scheme("BFV", DEGREE, (54, 54, 55), PLAIN_MODULUS)
PEOPLE_MAX = PLAIN_MODULUS - 1
FLOOD_BITS = 80
"""Flooding noise is uniform below 2^FLOOD_BITS; with 108 bits of modulus and 22 of plaintext,
decryption is right up to 2^84."""
FLOOD_LEAST = 40
"""Fewest bits of flooding over what it hides."""
_NOISE = 3.2 * math.sqrt(4 * DEGREE / 3 + 1)
"""Standard deviation of a fresh public-key encryption's noise (errors of 3.2, ternary secrets)."""
_TAIL = 8
"""Deviations that noise exceeds once in 10^15 coefficients."""
_LOW_BITS = 32


@dataclass(frozen=True)
class Packing:
    """How people and columns lie in polynomials.

    Attributes
    ----------
    people
        How many.
    block
        People in a ciphertext; a power of two that divides `DEGREE`.
    """

    people: int
    block: int

    @property
    def columns(self) -> int:
        """Columns that one answer counts."""
        return DEGREE // self.block

    @property
    def chunks(self) -> int:
        """Ciphertexts of one row."""
        return -(-self.people // self.block)

    @property
    def hidden_bits(self) -> int:
        """Bits by which flooding exceeds the noise that it hides."""
        terms = self.people * self.columns + 1
        return math.floor(FLOOD_BITS - math.log2(_TAIL * _NOISE * math.sqrt(terms)))

    def blocks(self, bits: np.ndarray) -> np.ndarray:
        """Cut rows (r, people) into chunks, the last one filled up; shape (r, chunks, block)."""
        padded = np.zeros((len(bits), self.chunks * self.block), np.uint64)
        padded[:, : self.people] = bits
        return padded.reshape(len(bits), self.chunks, self.block)


def packing(people: int, columns: int) -> Packing:
    """Choose the block with which least has to be sent.

    Raises
    ------
    OutOfRange
        There are more people than counts can tell apart, or than flooding can hide.
    """
    choices = [Packing(people, 1 << bits) for bits in range(4, DEGREE.bit_length())]
    best = min(choices, key=lambda p: (p.chunks + -(-columns // p.columns), -p.block))
    if people > PEOPLE_MAX or best.hidden_bits < FLOOD_LEAST:
        raise OutOfRange(f"linked counts are of at most {PEOPLE_MAX:,} people.")
    return best


class PublicCounts:
    """What owners work with, made from the bytes that were sent to them.

    Raises
    ------
    ProtocolError
        The bytes are no public key.
    """

    def __init__(self, blob: bytes) -> None:
        import seal

        self.scheme, self.blob, self.context = COUNTS, blob, _context()
        try:
            self.key = self.context.from_public_str(blob)
        except (ValueError, RuntimeError) as error:
            raise ProtocolError("what was sent is no public key.") from error
        self.encryptor = seal.Encryptor(self.context, self.key)
        self.evaluator = seal.Evaluator(self.context)
        self.fingerprint = hashlib.sha256(blob).digest()[:16]
        """Sixteen bytes that name this key in every message."""

    @cached_property
    def primes(self) -> list[int]:
        """The two primes of a ciphertext's modulus."""
        parameters = self.context.first_context_data().parms()
        return [modulus.value() for modulus in parameters.coeff_modulus()]

    def encrypt(self, coefficients: np.ndarray) -> Any:
        """Encrypt a polynomial, given its coefficients, shape (DEGREE,)."""
        return self.encryptor.encrypt(self.plain(coefficients))

    def plain(self, coefficients: np.ndarray) -> Any:
        """Make a plaintext of coefficients, shape (DEGREE,)."""
        import seal

        plaintext = seal.Plaintext()
        words = np.ascontiguousarray(coefficients, "<u8").tobytes()
        plaintext.load_bytes(self.context, _plain_head() + words)
        return plaintext

    def load(self, blob: bytes) -> Any:
        """Read a ciphertext that was sent."""
        try:
            return self.context.from_cipher_str(blob)
        except (ValueError, RuntimeError) as error:
            raise ProtocolError("a ciphertext cannot be read.") from error


class CountKeys:
    """A secret key at its holder, and the public key that everybody else gets.

    SEAL refuses parameters below 128 bits of security.
    """

    def __init__(self, scheme: Scheme = COUNTS) -> None:
        import seal

        assert scheme == COUNTS
        context = _context()
        generator = seal.KeyGenerator(context)
        self.secret: Any = generator.secret_key()
        self.public = PublicCounts(generator.create_public_key().to_string())
        self.decryptor = seal.Decryptor(context, self.secret)


def encrypt_rows(key: PublicCounts, rows: np.ndarray, how: Packing) -> bytes:
    """Encrypt a 0/1 matrix (r, people) row by row, chunk by chunk."""
    if not np.isin(rows, (0, 1)).all():
        raise OutOfRange("counts are of 0/1 values.")
    chunks = how.blocks(rows).reshape(-1, how.block)
    padded = np.zeros((len(chunks), DEGREE), np.uint64)
    padded[:, : how.block] = chunks
    return frame(key.fingerprint, [key.encrypt(chunk).to_string() for chunk in padded])


def masked_products(
    key: PublicCounts, encrypted: bytes, matrix: np.ndarray, rows: int, how: Packing
) -> bytes:
    """Encrypted rows (r, people) times a plain 0/1 matrix (people, c), at the matrix' owner.

    The reader of an answer learns the counts and nothing about single people: see the top of
    this file. Rotations are not needed, and neither are their large keys.
    """
    if not np.isin(matrix, (0, 1)).all():
        raise OutOfRange("counts are of 0/1 values.")
    loaded = [key.load(blob) for blob in unframe(key.fingerprint, encrypted)]
    if len(loaded) != rows * how.chunks:
        raise ProtocolError("encrypted rows are of other people than the matrix.")
    for ciphertext in loaded:
        key.evaluator.transform_to_ntt_inplace(ciphertext)
    first = key.context.first_parms_id()
    answers: list[list[bytes]] = [[] for _ in range(rows)]
    for start in range(0, matrix.shape[1], how.columns):
        group = _interleaved(matrix[:, start : start + how.columns], how)
        # A product with the zero plaintext would be a transparent ciphertext: refused.
        used = [k for k in range(how.chunks) if group[k].any()]
        plain = {k: key.evaluator.transform_to_ntt(key.plain(group[k]), first) for k in used}
        for row in range(rows):
            products = [
                key.evaluator.multiply_plain(loaded[row * how.chunks + k], plain[k]) for k in used
            ]
            answers[row].append(_hidden(key, products, how))
    return frame(key.fingerprint, [answer for found in answers for answer in found])


def open_counts(
    keys: CountKeys, answers: bytes, shape: tuple[int, int], how: Packing
) -> np.ndarray:
    """Decrypt masked answers and read their counts; shape (r, c).

    Raises
    ------
    ProtocolError
        An answer is missing, or holds what cannot be a count.
    """
    blobs = unframe(keys.public.fingerprint, answers)
    per_row = -(-shape[1] // how.columns)
    if len(blobs) != shape[0] * per_row:
        raise ProtocolError("answers are missing, or are too many.")
    found = np.stack([_coefficients(keys, blob)[how.block - 1 :: how.block] for blob in blobs])
    counts = found.reshape(shape[0], -1)[:, : shape[1]]
    if (counts > how.people).any():
        raise ProtocolError("an answer holds more people than there are: it was damaged.")
    return counts.astype(float)


def _hidden(key: PublicCounts, products: list[Any], how: Packing) -> bytes:
    """Add products up, and hide all that is not a count."""
    answer = _fresh_mask(key, how)
    if products:
        total = products[0]
        for product in products[1:]:
            key.evaluator.add_inplace(total, product)
        key.evaluator.transform_from_ntt_inplace(total)
        key.evaluator.add_inplace(answer, total)
    return _flooded(key, answer.to_string())


def _fresh_mask(key: PublicCounts, how: Packing) -> Any:
    """Encrypt uniform numbers in all coefficients but those of counts, which are zero."""
    words = np.frombuffer(secrets.token_bytes(4 * DEGREE), "<u4") & (PLAIN_MODULUS - 1)
    mask = words.astype(np.uint64)
    mask[how.block - 1 :: how.block] = 0
    return key.encrypt(mask)


def _flooded(key: PublicCounts, blob: bytes) -> bytes:
    """Add noise, uniform between -2^FLOOD_BITS and 2^FLOOD_BITS, to a ciphertext's first part."""
    primes = key.primes
    size = 2 * len(primes) * DEGREE * 8
    parts = np.frombuffer(blob[-size:], "<u8").reshape(2, len(primes), DEGREE).astype(np.uint64)
    low = np.frombuffer(secrets.token_bytes(4 * DEGREE), "<u4").astype(np.uint64)
    high = np.frombuffer(secrets.token_bytes(8 * DEGREE), "<u8").astype(np.uint64)
    high >>= np.uint64(64 - (FLOOD_BITS + 1 - _LOW_BITS))
    for k, prime in enumerate(primes):
        modulus = np.uint64(prime)
        noise = high % modulus
        for _ in range(_LOW_BITS // 8):  # no step passes 64 bits
            noise = (noise << np.uint64(8)) % modulus
        shift = np.uint64(prime - (1 << FLOOD_BITS) % prime)
        parts[0, k] = (parts[0, k] + noise + low + shift) % modulus
    return blob[:-size] + parts.astype("<u8").tobytes()


def _interleaved(columns: np.ndarray, how: Packing) -> np.ndarray:
    """Put up to `how.columns` columns (people, c) into plaintexts; shape (chunks, DEGREE)."""
    bits = np.zeros((how.columns, how.chunks, how.block), np.uint64)
    bits[: columns.shape[1]] = how.blocks(columns.T)
    return bits[:, :, ::-1].transpose(1, 0, 2).reshape(how.chunks, DEGREE)


def _coefficients(keys: CountKeys, blob: bytes) -> np.ndarray:
    """Decrypt all coefficients of an answer, shape (DEGREE,)."""
    import seal

    plaintext = keys.decryptor.decrypt(keys.public.load(blob))
    written = plaintext.to_bytes(seal.compr_mode_type.none)
    found = np.frombuffer(written[len(_plain_head()) :], "<u8")
    return np.concatenate([found, np.zeros(DEGREE - len(found), np.uint64)])


def _context() -> Any:
    import seal

    parameters = seal.EncryptionParameters(seal.scheme_type.bfv)
    parameters.set_poly_modulus_degree(DEGREE)
    parameters.set_coeff_modulus(seal.CoeffModulus.Create(DEGREE, list(COUNTS.primes)))
    parameters.set_plain_modulus(PLAIN_MODULUS)
    return seal.SEALContext(parameters)


def _plain_head() -> bytes:
    """What stands before the coefficients of a plaintext of full degree in SEAL's format."""
    import seal

    written = seal.Plaintext(f"1x^{DEGREE - 1} + 1").to_bytes(seal.compr_mode_type.none)
    return written[: -8 * DEGREE]
