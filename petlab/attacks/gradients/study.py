"""Gradient inversion of what a federation really sends, under several techniques."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from petlab.attacks.gradients.inversion import Guess, invert
from petlab.attacks.gradients.picture import GradientInversion, Inversion
from petlab.attacks.gradients.score import Rebuilt, scored
from petlab.attacks.gradients.view import broadcasts, keys_sent, readings, update
from petlab.attacks.gradients.watched import Watched, watch
from petlab.core.settings import Setting
from petlab.errors import UsageError

if TYPE_CHECKING:
    pass

BATCHES = (1, 2, 4, 8)
VICTIMS = 16
"""Records under attack at each batch size; a multiple of all of them."""


@dataclass(frozen=True)
class Target:
    """A technique under attack.

    Attributes
    ----------
    title
        As tables name it.
    technique
        As `petlab list` names it.
    """

    title: str
    technique: str
    settings: Mapping[str, Setting]


def targets(epsilon: float = 3.0, *, insecure_seed: int | None = None) -> tuple[Target, ...]:
    """List plain federated learning and everything that may protect its updates."""
    private = {"epsilon": epsilon, "insecure_seed": insecure_seed}
    return (
        Target("fl", "fl", {}),
        Target("fl+dp, noise by the aggregator", "fl+dp", {**private, "noise": "aggregator"}),
        Target("fl+dp, noise by the owners", "fl+dp", {**private, "noise": "owners"}),
        Target("fl+he", "fl+he", {}),
        Target("fl+mpc", "fl+mpc", {}),
        Target("fl+tee", "fl+tee", {}),
    )


def gradient_inversion(
    under: Sequence[Target] | None = None,
    *,
    dataset: str = "digits",
    batches: Sequence[int] = BATCHES,
    victims: int = VICTIMS,
    seed: int = 0,
    settings: Mapping[str, Setting] | None = None,
) -> GradientInversion:
    """Attack the first message of every owner, at each batch size under each technique.

    All records of an owner are in one message of one round, so that a technique that spends an
    epsilon spends all of it there: more messages would each carry more noise.

    Parameters
    ----------
    under
        What to attack; `targets()` by default.
    victims
        Records under attack, the same at each batch size; a multiple of every batch.
    settings
        Of the task `deep`.

    Raises
    ------
    UsageError
        The settings are not those of a perceptron trained by gradients, or the victims are no
        multiple of a batch.
    """
    for batch in batches:
        if batch < 1 or victims < batch or victims % batch:
            raise UsageError(f"{victims} victims are not in batches of {batch}: take a multiple.")
    cells, image = [], None
    for target in under or targets():
        for batch in batches:
            watched = watch(
                target.technique,
                batch=batch,
                owners=victims // batch,
                dataset=dataset,
                seed=seed,
                settings={**(settings or {}), **target.settings},
            )
            image = watched.victims.public.image
            cells.append(_attacked(target.title, watched, seed=seed))
    return GradientInversion(dataset, cells, image)


def _attacked(title: str, watched: Watched, *, seed: int) -> Inversion:
    """Invert every owner's message."""
    rng = np.random.default_rng([seed, 10])
    originals = watched.victims["features"]
    parts, readable = [], True
    keys = keys_sent(watched.transcript, watched.attacker)
    size = len(watched.sender.weights)
    for k, owner in enumerate(watched.owners):
        payload = update(watched.transcript, watched.attacker, owner).payload
        assert payload is not None
        truth = originals[k * watched.batch : (k + 1) * watched.batch]
        tried = []
        for reading in readings(payload, size, steps=watched.steps, keys=keys):
            readable = readable and reading.decoded
            guess = _guess(reading.vector, watched, rng, starts=4 if reading.decoded else 1)
            tried.append(scored(guess.records, truth, watched.population["features"], rng))
        parts.append(min(tried, key=lambda rebuilt: float(np.median(rebuilt.errors))))
    return Inversion(
        *(title, watched.batch, watched.attacker, readable), originals, Rebuilt.joined(parts)
    )


def _guess(vector: np.ndarray, watched: Watched, rng: np.random.Generator, *, starts: int) -> Guess:
    population = watched.population["features"]
    return invert(
        *(vector, watched.sender),
        batch=watched.batch,
        population=population,
        rng=rng,
        starts=starts,
    )


def sum_inversion(
    technique: str,
    *,
    owners: int,
    batch: int,
    assumed: int | None = None,
    dataset: str = "digits",
    seed: int = 0,
    settings: Mapping[str, Setting] | None = None,
) -> Rebuilt:
    """Attack the sum over all owners, which the next round's model gives away.

    Whoever relays the models of two rounds subtracts them: the difference is the step size times
    the mean gradient, however the contributions to it were encrypted.

    Parameters
    ----------
    owners, batch
        How many owners there are, and how many records each has.
    assumed
        For how many records together the attacker solves; as many as there are by default.

    Raises
    ------
    UsageError
        The settings are not those of a perceptron trained by gradients, more records are
        assumed than there are, or nobody relays the models.
    """
    if assumed is not None and not 1 <= assumed <= owners * batch:
        raise UsageError(f"assume between 1 and {owners * batch} records, not {assumed}.")
    watched = watch(
        *(technique,),
        batch=batch,
        owners=owners,
        dataset=dataset,
        seed=seed,
        rounds=2,
        settings=settings,
    )
    models = broadcasts(watched.transcript, watched.attacker, "state")
    if len(models) < 2:
        raise UsageError(f"{technique}: {watched.attacker} relays no models to subtract.")
    first, second = models[:2]
    originals, population = watched.victims["features"], watched.population["features"]
    total = (first - second) / watched.rate * len(originals)
    rng = np.random.default_rng([seed, 11])
    count = assumed or len(originals)
    guess = invert(total, watched.sender, batch=count, population=population, rng=rng)
    return scored(guess.records, originals, population, rng)
