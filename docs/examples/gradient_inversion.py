"""Gradient inversion: what the aggregator of a federation rebuilds from the bytes it receives."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from page import Page, percent, table

from petlab.attacks.gradients.naming import CANDIDATES, named
from petlab.attacks.gradients.picture import GradientInversion, Inversion
from petlab.attacks.gradients.score import RECOVERED
from petlab.attacks.gradients.study import (
    BATCHES,
    VICTIMS,
    Target,
    gradient_inversion,
    sum_inversion,
    targets,
)
from petlab.attacks.gradients.view import decryptions
from petlab.attacks.gradients.watched import watch

EPSILON = 3.0
SEED = 1
"""Of the noise, so that the page can be checked."""
EPSILONS = (3.0, 100.0, 1e3, 1e4)
NAMED, NAMED_PLAIN = 600, 100
CROWD, ASSUMED = 96, 8
"""Records whose sum is attacked, as if it were of fewer: no more than there are hidden units."""


def shown(error: float) -> str:
    """A median error as a bound where its digits differ from run to run."""
    return "under 1e-9" if error < 1e-9 else "over 1" if error > 1 else f"{error:.1g}"


def found_of(cell: Inversion) -> str:
    """How many victims were recovered."""
    return f"{cell.rebuilt.recovered} of {len(cell.originals)}"


def rows(found: GradientInversion) -> Iterator[list[str]]:
    """One row per technique: what was recovered at each batch size, and how well."""
    for title in found.titles:
        cells = [found.cell(title, batch) for batch in found.batches]
        errors = {shown(float(np.median(cell.rebuilt.errors))) for cell in cells}
        yield [title, *map(found_of, cells), " / ".join(sorted(errors))]


def noise_rows() -> Iterator[list[str]]:
    """How the attack on single records fades as noise grows."""
    for epsilon in EPSILONS:
        target = targets(epsilon, insecure_seed=SEED)[2]
        cell = gradient_inversion([target], batches=[1]).cells[0]
        yield [f"{epsilon:,.0f}", found_of(cell), shown(float(np.median(cell.rebuilt.errors)))]


def sum_rows() -> Iterator[list[str]]:
    """What the models of two rounds give away under encryption."""
    for owners, batch, assumed in ((2, 1, None), (4, 2, None), (3, CROWD // 3, ASSUMED)):
        found = sum_inversion("fl+he", owners=owners, batch=batch, assumed=assumed)
        yield [str(owners), str(batch), f"{found.recovered} of {owners * batch}"]


def page() -> Page:
    """Compute the numbers of the page."""
    attacked = targets(EPSILON, insecure_seed=SEED)
    found = gradient_inversion(attacked[:4])
    apart = gradient_inversion(attacked[4:], batches=[1])
    mpc, tee = (apart.cell(target.title, 1) for target in attacked[4:])
    plain = found.cell("fl", 1)
    watched = watch("fl+he", batch=1, owners=3, dataset="digits", rounds=2)
    tried, opened = decryptions(watched.transcript, watched.attacker)
    known = named("fl", victims=NAMED_PLAIN)
    private = named("fl+dp", victims=NAMED, settings=_private(attacked[2]))
    low, high = private.interval
    sizes = [f"{batch} in a message" if batch == 1 else str(batch) for batch in BATCHES]
    body = f"""
## What crosses

In federated learning an owner sends the sum of its records' gradients. `deep` is trained here on \
`digits` (64 pixels, a hidden layer of 64 units, tanh) by owners with few records each, all of \
them in the first message; petlab keeps every byte that the aggregator receives, and the attack \
reads those bytes with Flower's own decoder. The attacker knows the model, which it sends out \
itself, the number of records, and other people's digits (the test records).

- **One record.** The gradient of a hidden unit's weights is a number times the record, that of \
its bias the number alone: the quotient is the record (Phong et al., IEEE TIFS 2018).
- **A batch of B.** The first layer's gradient has rank B, and its columns span the space in which \
the records lie (Dimitrov et al., *SPEAR*, NeurIPS 2024). Within it B x B numbers are unknown, and \
all other gradients are equations for them (gradient matching: Zhu, Liu, Han, *Deep Leakage from \
Gradients*, NeurIPS 2019). Levenberg-Marquardt solves them. Labels come from the last layer's \
biases (after Zhao et al., *iDLG*, 2020).

A record counts as *recovered* below {RECOVERED:g} times the squared error of the mean record, \
which needs no attack. (Median peak signal-to-noise ratio of the mean record: \
{plain.rebuilt.psnr_mean:.0f} dB; of another record: {plain.rebuilt.psnr_other:.0f} dB.)

## What is rebuilt

The same {VICTIMS} people under each technique, epsilon {EPSILON:g} where there is one:

{table(["technique", *sizes, "median error, mean record = 1"], list(rows(found)))}

- **`fl`**: every record, to the last digits of a floating-point number. "Raw records never leave \
their owner" is true, and no protection of owners with few records.
- **`fl+dp` with noise by the aggregator**: the same. Owners send clipped gradients, and the noise \
is added after they were read. The model is private towards its readers, the records are open to \
the aggregator, which the guarantee of that setting names as trusted.
- **`fl+dp` with noise by the owners** (petlab's default): nothing. The attack finds records that \
explain the noise, which its residual tells it; the mean record would be the better answer.
- **`fl+he`**: nothing. The attacker has no numbers to begin with: ciphertext bytes were taken for \
numbers in three formats, and of the three results the nearest was kept, which only who knows the \
truth could pick. The keys that it was sent are public ones: {tried} attempts to decrypt, \
{opened} successes.
- `fl+mpc` (the attacker is {mpc.attacker}, who holds a share of every update): \
{found_of(mpc)} single records. `fl+tee` (the host of the enclave): {found_of(tee)}.

## How much noise it takes

All of epsilon in one message of one record, noise by the owner:

{table(["epsilon", "recovered", "median error, mean record = 1"], list(noise_rows()))}

Rebuilding a picture is the hardest thing an attacker can want, so that it fails at epsilons that \
nobody would call private. An easier one: the attacker is handed the victim's record among \
{CANDIDATES} and names the one whose gradient is nearest. Under `fl` it is right for \
{percent(known.share)} of {NAMED_PLAIN} victims; under `fl+dp` at epsilon {EPSILON:g} for \
**{percent(private.share, 1)}** of {NAMED} (95 % interval {percent(low, 1)} to \
{percent(high, 1)}), where guessing gives {percent(private.chance)}. That is more than nothing, \
and it is what a finite epsilon means.

## What encryption leaves open: the sum

Under `fl+he` the aggregator reads no update. But it carries the next round's model to the owners, \
and the difference of two models is the step size times the *sum* of all gradients. The same \
attack on that sum, two rounds of `fl+he`:

{table(["owners", "records each", "recovered from two models"], list(sum_rows()))}

Encrypted sums protect a record by the number of others in the sum, not by themselves: **with few \
records in all, the sum is as open as a message**. (For {CROWD} records the attacker solves for \
{ASSUMED}: the sum of more records than there are hidden units determines no span. That says \
that this attack ends there, not that all do.) `fl+mpc` and `fl+tee` carry their models in the \
same way. Noise in the sum, as in `fl+he+dp`, is what bounds this.

## What this does not show

A perceptron is the easiest network to invert: convolutions and averaging over local epochs make \
it harder, a malicious server that chooses the weights makes it easier. Momentum and later rounds \
change nothing for the messages, which are gradients at weights that the attacker knows. With \
`relu` instead of tanh the search sometimes ends beside the solution, and misses some records at \
batches of 4 and 8. Records are images so that the eye can judge; the attack takes any.
"""
    return Page(
        name="gradient_inversion",
        title="What a gradient shows of the records behind it",
        question="Owners send gradients instead of records. What can the aggregator rebuild?",
        sentence="Up to eight records behind a message of plain federated learning come back "
        "exactly; noise that owners add, or encryption, stops that, but noise that the aggregator "
        "adds does not, and an encrypted sum of few records shows them one round later.",
        body=body,
        draw=lambda axes: found.draw(axes),
        footnote="The noise is petlab's own stream under a fixed `insecure_seed`; keys and "
        "ciphertexts differ from run to run, and the row of `fl+he` in the figure with them.",
    )


def _private(target: Target) -> dict[str, str | int | float | bool | None]:
    return dict(target.settings)
