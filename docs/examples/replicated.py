"""Adding and multiplying with replicated secret sharing: 6 and 9 among three parties."""

from __future__ import annotations

from collections import Counter

import numpy as np
from page import Page, table

from petlab.techniques.mpc.streams import Stream

SIX, NINE = (1, 2, 3), (2, 3, 4)
"""Two secrets, each a sum of three shares; party k holds shares k and k + 1."""
PRODUCT = sum(SIX) * sum(NINE)
TRIALS = 6_000
KEY = bytes(range(32))
"""Fixed, so that the page can be checked; real keys are fresh."""


def view(shares: tuple[int, ...], party: int) -> tuple[int, int]:
    """The two shares that a party holds."""
    return shares[party], shares[(party + 1) % 3]


def added(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    """Shares of the sum: every party adds what it holds, and says nothing."""
    return tuple(a + b for a, b in zip(left, right, strict=True))


def multiplied(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    """One number at each party; together they are the product.

    Of the nine products of shares, each is computed by a party that holds both factors
    (Araki et al., High-Throughput Semi-Honest Secure Three-Party Computation with an Honest
    Majority, CCS 2016, section 2.1).
    """
    found = []
    for party in range(3):
        (x, x_next), (y, y_next) = view(left, party), view(right, party)
        found.append(x * y + x * y_next + x_next * y)
    return tuple(found)


def shared(secret: int, stream: Stream) -> tuple[int, ...]:
    """Fresh shares of a secret modulo 2^64."""
    first, second = (int(word) for word in stream.words((2,)))
    return first, second, (secret - first - second) % 2**64


def top_bits(secret: int, party: int, stream: Stream) -> np.ndarray:
    """How often a party's first share begins with each pair of bits, over many sharings."""
    found = Counter(view(shared(secret, stream), party)[0] % 2**64 >> 62 for _ in range(TRIALS))
    return np.array([found[k] for k in range(4)]) / TRIALS


def page() -> Page:
    """Compute the numbers of the page."""
    sums, products = added(SIX, NINE), multiplied(SIX, NINE)
    stream = Stream(KEY)
    seen = {secret: top_bits(secret, 0, stream) for secret in (6, 9)}
    rows = [
        [f"party {k + 1}", *(", ".join(map(str, view(s, k))) for s in (SIX, NINE)), s, p]
        for k, (s, p) in enumerate(zip(sums, products, strict=True))
    ]
    worst = max(abs(share - 0.25) for shares in seen.values() for share in shares)
    body = f"""
Three parties hold 6 = {" + ".join(map(str, SIX))} and 9 = {" + ".join(map(str, NINE))}. Party k \
has the shares k and k + 1 of each secret, so that any two parties have all three, and one alone \
lacks one.

{table(["", "of 6", "of 9", "sum", "product"], rows)}

**Adding** needs no message: {" + ".join(map(str, sums))} = {sum(sums)} = 6 + 9.

**Multiplying**: (x1 + x2 + x3)(y1 + y2 + y3) has nine terms. Party k computes the three that it \
holds both factors of, x_k y_k + x_k y_(k+1) + x_(k+1) y_k: \
{" + ".join(map(str, products))} = {sum(products)} = 6 * 9.

**One thing more before anything is sent.** Each party now has one number, and must hand it to its \
neighbour so that both hold two again. Sent as it is, that number would tell something: party 3 \
holds x1 = {SIX[0]} and y1 = {NINE[0]}, and from party 1's {products[0]} it would learn that \
{SIX[0]} y2 + {NINE[0]} x2 = {products[0] - SIX[0] * NINE[0]}, an equation between the shares that \
it must not know. So the parties first add shares of zero, which they draw from keys that each two \
of them share: one key's number is added by one party and subtracted by the next. An engine \
that forgets this (CrypTen's `replicated` provider does, for one of its messages) computes \
correctly and leaks.

**What one share says.** In a real computation shares are uniform modulo 2^64. Over {TRIALS:,} \
fresh sharings, the first share of party 1 begins with the bits 00, 01, 10 and 11 this often:

{
        table(
            ["secret", "00", "01", "10", "11"],
            [[s, *(f"{100 * v:.1f} %" for v in shares)] for s, shares in seen.items()],
        )
    }

No entry is further than {100 * worst:.1f} points from a quarter, whichever the secret: the share \
is the same random number.

petlab's `mpc` with `engine=spu` runs on this sharing (ABY3); the default engine shares additively \
and multiplies with a dealer's help, which lets all but one of the parties collude.
"""
    return Page(
        name="replicated",
        title="Replicated secret sharing",
        question="How can three parties multiply numbers that none of them knows?",
        sentence="Each party holds two of three random pieces: enough to compute its part of a "
        "product, not enough to know a factor.",
        body=body,
        footnote="Its shares come from petlab's own stream under a fixed key, so that the page can "
        "be checked; real keys are never repeated.",
    )
