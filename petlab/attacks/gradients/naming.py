"""A stronger attacker: it has the victim's record among others and has only to name it.

Differential privacy bounds what an output tells about whether somebody is in the data, also to
who knows everything else. Rebuilding a record is harder than that; naming it among a few is what
the bound is about.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from petlab.attacks.gradients.view import readings, update
from petlab.attacks.gradients.watched import watch
from petlab.core.settings import Setting
from petlab.errors import UsageError

CANDIDATES = 100
VICTIMS = 200


@dataclass(frozen=True)
class Named:
    """How often the attacker named the right one.

    Attributes
    ----------
    right, victims
        Hits and attempts.
    candidates
        Among how many, the victim included.
    """

    right: int
    victims: int
    candidates: int

    @property
    def share(self) -> float:
        """Share of victims that were named."""
        return self.right / self.victims

    @property
    def chance(self) -> float:
        """The share that guessing gives."""
        return 1 / self.candidates

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the share."""
        from scipy.stats import binomtest

        found = binomtest(self.right, self.victims).proportion_ci(method="wilson")
        return float(found.low), float(found.high)


def named(
    technique: str,
    *,
    candidates: int = CANDIDATES,
    victims: int = VICTIMS,
    dataset: str = "digits",
    seed: int = 0,
    settings: Mapping[str, Setting] | None = None,
) -> Named:
    """Name the one record behind each owner's message among others of the population.

    The attacker computes what every candidate would have sent and takes the nearest to what was:
    with Gaussian noise the likeliest.

    Raises
    ------
    UsageError
        The technique's messages do not read as numbers, so that nothing can be compared, or
        there are fewer records than candidates.
    """
    watched = watch(
        *(technique,), batch=1, owners=victims, dataset=dataset, seed=seed, settings=settings
    )
    sender, one_hot = watched.sender, np.eye(watched.sender.classes)
    there = len(watched.population.labels)
    if not 2 <= candidates <= there + 1:
        raise UsageError(f"{dataset} has {there} other records: name 2 to {there + 1} candidates.")
    rng = np.random.default_rng([seed, 12])
    others = watched.population.take(rng.choice(there, candidates - 1, replace=False))

    def sent(x: np.ndarray, label: int) -> np.ndarray:
        return sender.message(x[None], one_hot[label][None])

    pairs = zip(others["features"], others.labels, strict=True)
    others_sent = np.stack([sent(x, label) for x, label in pairs])
    right = 0
    for k, owner in enumerate(watched.owners):
        payload = update(watched.transcript, watched.attacker, owner).payload or b""
        found = readings(payload, others_sent.shape[1], steps=watched.steps)
        if not (found and found[0].decoded):
            raise UsageError(f"{technique}: {watched.attacker} reads no numbers to compare with.")
        own = sent(watched.victims["features"][k], watched.victims.labels[k])
        distance = np.linalg.norm(others_sent - found[0].vector, axis=1).min()
        right += bool(np.linalg.norm(own - found[0].vector) < distance)
    return Named(right, victims, candidates)
