"""How much noise each release of a plan needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from petlab.core.contribution import Contribution
from petlab.core.party import AGGREGATOR, OWNERS
from petlab.core.plan import Plan
from petlab.core.release import Exposure
from petlab.core.settings import setting
from petlab.errors import UsageError
from petlab.metering.accountant import ACCOUNTANTS, Event, noise_multiplier, total_epsilon

MECHANISMS = ("auto", "laplace", "gaussian")
TWINS = ("none", "clip-only", "noise-only")
DELTA_MAX = 1e-3
"""Publishing every thousandth record whole has no larger delta."""
GRID_STEPS = 4
"""Shares of Gaussian noise have at least this deviation, in steps of the grid they are rounded
to. A sum of rounded shares is then a Gaussian and noise of its own but for a relative error of
about exp(-2 pi^2 16), by Poisson summation; the same argument bounds sums of discrete Gaussians
(Kairouz, Liu, Steinke, The Distributed Discrete Gaussian Mechanism, ICML 2021)."""


@dataclass(frozen=True)
class Settings:
    """Settings of differential privacy."""

    epsilon: float = setting(1.0, "privacy loss of everything that is opened")
    delta: float = setting(1e-5, "chance of a larger loss (Gaussian noise only)")
    noise_multiplier: float | None = setting(None, "noise over sensitivity, instead of epsilon")
    mechanism: str = setting("auto", "auto (Laplace for counts), laplace or gaussian")
    accountant: str = setting("prv", "prv or rdp, for sampled batches")
    noise: str = setting("auto", "who adds it: curator, owners or aggregator")
    colluders: int = setting(1, "owners that may reveal their share of distributed noise")
    twin: str = setting("none", "clip-only or noise-only: one half of the mechanism, no privacy")
    insecure_seed: int | None = setting(None, "repeatable noise for experiments; no privacy")

    def check(self) -> None:
        """Refuse values that make no sense.

        Raises
        ------
        UsageError
            With what to give instead.
        """
        if not (self.epsilon > 0 and np.isfinite(self.epsilon)):
            raise UsageError("epsilon must be positive and finite.")
        if not 0 < self.delta <= DELTA_MAX:
            raise UsageError(
                f"delta lies between 0 and {DELTA_MAX:g}: it is the chance that nothing holds, "
                "and should be well under one in the number of records."
            )
        wanted = self.noise_multiplier
        if wanted is not None and not (wanted > 0 and np.isfinite(wanted)):
            raise UsageError("noise_multiplier must be positive and finite.")
        if self.colluders < 0:
            raise UsageError("colluders cannot be negative.")
        for name, value, known in (
            ("mechanism", self.mechanism, MECHANISMS),
            ("accountant", self.accountant, ACCOUNTANTS),
            ("twin", self.twin, TWINS),
        ):
            if value not in known:
                raise UsageError(f"unknown {name} {value!r}. Known: {', '.join(known)}.")


class Calibration:
    """Mechanism, multiplier and events of a plan, before any data is touched.

    Parameters
    ----------
    settings
        Wanted epsilon and delta, or noise.
    plan
        How many releases, over which share of the records.
    exposure
        Who can add noise, and what the aggregator sees.
    """

    def __init__(self, settings: Settings, plan: Plan, exposure: Exposure) -> None:
        settings.check()
        self.settings, self.plan, self.exposure = settings, plan, exposure
        self.place = exposure.places[0] if settings.noise == "auto" else settings.noise
        if self.place not in exposure.places:
            raise UsageError(
                f"noise={settings.noise} does not fit this technique. "
                f"Known: {', '.join(exposure.places)}."
            )
        if self.place == AGGREGATOR and plan.local_steps:
            raise UsageError("owners that train by themselves add the noise: --set noise=owners.")
        self.laplace = self._use_laplace()
        if not self.laplace:
            self.multiplier = self._multiplier()

    @property
    def hidden_shares(self) -> bool:
        """Owners add shares of noise to contributions that nobody sees by themselves."""
        seen = self.exposure.contributions or self.plan.local_steps > 0
        return self.place == OWNERS and not seen

    @property
    def releases(self) -> int:
        """Noisy sums of the plan, local steps included."""
        return self.plan.releases * max(1, self.plan.local_steps)

    @property
    def events(self) -> tuple[Event, ...]:
        """Everything that the plan will spend. Unused releases are not refunded."""
        if self.is_twin:
            return ()
        if self.laplace:
            return (Event(pure=self.pure, releases=self.releases),)
        rate = self.plan.sample_rate
        return (Event(multiplier=self.multiplier, sample_rate=rate, releases=self.releases),)

    @property
    def is_twin(self) -> bool:
        """The mechanism without its protection: half of it, or noise that anybody can repeat."""
        return self.settings.twin != "none" or self.settings.insecure_seed is not None

    @property
    def pure(self) -> float:
        """Epsilon of each Laplace release."""
        wanted = self.settings.noise_multiplier
        return 1 / wanted if wanted else self.settings.epsilon / self.releases

    @property
    def epsilon(self) -> float | None:
        """Accounted epsilon of the whole plan, or None for a twin without privacy."""
        if not self.events:
            return None
        return total_epsilon(self.events, self.settings.delta, accountant=self.settings.accountant)

    @property
    def delta(self) -> float | None:
        """Delta of the whole plan; 0 for Laplace noise alone."""
        return None if not self.events else 0.0 if self.laplace else self.settings.delta

    def sufficient(self, owners: int) -> int:
        """How many places' noise together is all the noise that a sum needs.

        Raises
        ------
        UsageError
            More colluders than owners could make up for.
        """
        if not self.hidden_shares:
            return 1
        honest = owners - self.settings.colluders
        if honest < 1:
            raise UsageError(
                f"{self.settings.colluders} of {owners} owners may collude: nobody is left to add "
                "noise. Lower colluders or add owners."
            )
        return honest

    def sensitivity(self, contribution: Contribution, grid: float) -> float:
        """How far one unit moves a sum, rounding to a grid included.

        One unit changes one owner's total; rounding that total adds at most one step in
        each coordinate.
        """
        if self.laplace:
            assert contribution.unit_norm_l1 is not None
            return contribution.unit_norm_l1
        if contribution.unit_norm is None:
            raise UsageError("this sum declares no bound on a unit's norm, so noise has no size.")
        rounding = 0.0 if contribution.integer else grid * float(np.sqrt(contribution.size))
        return contribution.unit_norm + rounding

    def _use_laplace(self) -> bool:
        wanted = self.settings.mechanism
        fits = self.plan.counts
        if wanted == "laplace" and not fits:
            raise UsageError("laplace noise is for counts: --set mechanism=gaussian.")
        return fits and wanted != "gaussian"

    def _multiplier(self) -> float:
        if self.settings.noise_multiplier is not None:
            return self.settings.noise_multiplier
        return noise_multiplier(
            self.settings.epsilon,
            self.settings.delta,
            sample_rate=self.plan.sample_rate,
            releases=self.releases,
            accountant=self.settings.accountant,
        )
