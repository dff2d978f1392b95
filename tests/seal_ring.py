"""Polynomials behind SEAL's bytes, for attackers that look at more than plaintexts.

A reader knows its secret key s. Of a ciphertext (c0, c1) it computes c0 + c1 s, which is the
scaled plaintext plus the noise: both are visible, and so is c1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from petlab.techniques.he.counts import DEGREE, PLAIN_MODULUS, CountKeys

_TWIST = np.exp(1j * np.pi * np.arange(DEGREE) / DEGREE)


def evaluated(coefficients: np.ndarray) -> np.ndarray:
    """Values of a real polynomial at the roots of x^N + 1."""
    return np.fft.fft(np.asarray(coefficients, float) * _TWIST)


def interpolated(values: np.ndarray) -> np.ndarray:
    """Real coefficients from such values."""
    return (np.fft.ifft(values) / _TWIST).real


def secret_coefficients(keys: CountKeys) -> np.ndarray:
    """The ternary secret polynomial: SEAL keeps its values at the roots, modulo each prime."""
    prime = keys.public.primes[0]
    blob = keys.secret.to_string()
    words = np.frombuffer(blob[-3 * DEGREE * 8 :], "<u8")[:DEGREE]
    values = np.zeros(DEGREE, object)
    bits = DEGREE.bit_length() - 1
    for k, word in enumerate(words):
        values[int(format(k, f"0{bits}b")[::-1], 2)] = int(word)
    root = _primitive_root(prime)
    found = _inverse_transform(list(values), pow(root, 2, prime), prime)
    unroot = pow(root, -1, prime)
    scale, out = pow(DEGREE, -1, prime), []
    for value in found:
        centred = value * scale % prime
        out.append(centred - prime if centred > prime // 2 else centred)
        scale = scale * unroot % prime
    secret = np.array(out)
    assert set(secret.tolist()) <= {-1, 0, 1}, "this is not how SEAL keeps secret keys"
    return secret


def parts(keys: CountKeys, blob: bytes) -> np.ndarray:
    """Both polynomials of a ciphertext modulo each prime, shape (2, primes, DEGREE)."""
    primes = len(keys.public.primes)
    words = np.frombuffer(blob[-2 * primes * DEGREE * 8 :], "<u8")
    return words.reshape(2, primes, DEGREE)


def noise_of(keys: CountKeys, secret: np.ndarray, blob: bytes) -> np.ndarray:
    """Noise of a ciphertext, coefficient by coefficient, as its key's holder sees it."""
    primes, pair = keys.public.primes, parts(keys, blob)
    first, second = primes
    residues = [
        (pair[0, k].astype(object) + _times_ternary(pair[1, k], secret, prime)) % prime
        for k, prime in enumerate(primes)
    ]
    modulus = first * second
    lift = (second * pow(second, -1, first), first * pow(first, -1, second))
    phase = (residues[0] * lift[0] + residues[1] * lift[1]) % modulus
    message = (2 * PLAIN_MODULUS * phase + modulus) // (2 * modulus) % PLAIN_MODULUS
    scaled = (PLAIN_MODULUS * phase - modulus * message) % (PLAIN_MODULUS * modulus)
    half = PLAIN_MODULUS * modulus // 2
    return np.array([float(x - PLAIN_MODULUS * modulus * (x > half)) for x in scaled]) / (
        PLAIN_MODULUS
    )


def _times_ternary(words: np.ndarray, secret: np.ndarray, prime: int) -> Any:
    """Product modulo x^N + 1 and the prime, exact: in limbs of 15 bits."""
    total = np.zeros(DEGREE, object)
    for limb in range(4):
        part = ((words >> np.uint64(15 * limb)) & np.uint64(0x7FFF)).astype(float)
        product = np.fft.irfft(
            np.fft.rfft(part, 2 * DEGREE) * np.fft.rfft(secret.astype(float), 2 * DEGREE),
            2 * DEGREE,
        )
        exact = np.rint(product).astype(np.int64)
        total = (total + ((exact[:DEGREE] - exact[DEGREE:]).astype(object) << (15 * limb))) % prime
    return total


def _primitive_root(prime: int) -> int:
    """The smallest primitive 2N-th root of unity, which is SEAL's choice."""
    order = 2 * DEGREE
    base = next(x for x in range(2, 500) if pow(x, (prime - 1) // 2, prime) == prime - 1)
    root = pow(base, (prime - 1) // order, prime)
    square, best, power = root * root % prime, root, root
    for _ in range(DEGREE):
        power = power * square % prime
        best = min(best, power)
    return best


def _inverse_transform(values: list[int], root: int, prime: int) -> list[int]:
    """Sum over i of values[i] root^(-ij), by the usual halving."""
    unroot = pow(root, -1, prime)

    def transform(x: list[int], w: int) -> list[int]:
        if len(x) == 1:
            return x
        even, odd = transform(x[::2], w * w % prime), transform(x[1::2], w * w % prime)
        half, power = len(x) // 2, 1
        out = [0] * len(x)
        for k in range(half):
            turned = power * odd[k] % prime
            out[k], out[k + half] = (even[k] + turned) % prime, (even[k] - turned) % prime
            power = power * w % prime
        return out

    return transform(values, unroot)
