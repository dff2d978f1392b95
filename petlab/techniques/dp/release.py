"""Clipping, sampling and noise, at the place that the calibration names."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, Literal

import numpy as np

from petlab.core.claims import Guarantee
from petlab.core.contribution import Contribution, Noise
from petlab.core.party import AGGREGATOR, CURATOR, ENCLAVE, OWNERS, LocalSteps, Shard
from petlab.core.rows import Rows
from petlab.errors import OutOfRange, UsageError
from petlab.techniques.dp.calibration import GRID_STEPS, Calibration
from petlab.techniques.dp.noise import NoiseStream, to_grid

_GAUSSIAN_TAIL = 8.0
_LAPLACE_TAIL = 36.0
"""Deviations, and scales, past which noise lies once in 10^15 draws."""


class PrivateSteps:
    """Local training steps that are private where they are taken (DP-SGD at an owner)."""

    def __init__(self, calibration: Calibration, stream: NoiseStream) -> None:
        self._calibration, self._stream = calibration, stream

    def draw(self, shard: Shard, sample_rate: float, step: int, *, seed: int) -> Shard:
        """Poisson-sample a batch from the cryptographic stream; `seed` is not used."""
        return _poisson(shard, sample_rate, self._stream)

    def total(self, rows: Rows, unit_norm: float) -> np.ndarray:
        """Sum of clipped rows, with this step's noise."""
        twin = self._calibration.settings.twin
        total = rows.total() if twin == "noise-only" else _clipped(rows, 2, unit_norm)
        if twin == "clip-only":
            return total
        deviation = self._calibration.multiplier * unit_norm
        return to_grid(total + self._stream.gaussian(deviation, total.size), deviation)


class NoiseRelease:
    """Clips every unit's row and adds the planned noise to each released total."""

    def __init__(self, calibration: Calibration) -> None:
        self._calibration = calibration
        self._stream = NoiseStream(calibration.settings.insecure_seed)
        self.place = calibration.place
        self._unit, self._owners = "unit", 1

    @property
    def fractional(self) -> bool:
        """Shares of Gaussian noise are added to each other before anybody reads them."""
        return self._calibration.hidden_shares and not self._calibration.laplace

    @property
    def recipe(self) -> tuple[str, dict[str, Any]]:
        """Import path and settings of the guard that makes this release anew elsewhere."""
        settings = asdict(self._calibration.settings)
        if not self._calibration.laplace:
            # Found already: a search that would only be repeated.
            settings["noise_multiplier"] = self._calibration.multiplier
        return "petlab.techniques.dp.technique:DifferentialPrivacy", settings

    def draw(self, shard: Shard, sample_rate: float) -> Shard:
        """Poisson-sample a batch from the cryptographic stream."""
        return _poisson(shard, sample_rate, self._stream)

    def local_steps(self) -> LocalSteps:
        """Return private steps for owners that train by themselves."""
        return PrivateSteps(self._calibration, self._stream)

    def clipped_total(self, rows: Rows, contribution: Contribution) -> np.ndarray:
        """Total of the rows, each scaled down to its declared norm."""
        if self._is_private_already(contribution) or self._twin == "noise-only":
            return rows.total()
        order = 1 if self._calibration.laplace else 2
        bound = self._calibration.sensitivity(contribution, 0.0)
        if contribution.on_excess == "refuse" and (rows.norms(order) > bound * (1 + 1e-12)).any():
            raise OutOfRange("a unit's row exceeds its declared norm: nothing was released.")
        return _clipped(rows, order, bound)

    def noisy(
        self, total: np.ndarray, contribution: Contribution, *, owners: int, grid: float
    ) -> np.ndarray:
        """Add one place's share of the noise; see `Release.noisy`.

        Counts get whole numbers: discrete Laplace noise, or owners' shares of it. What is
        added to another protected total is rounded to the protection's grid beforehand, which
        is refused where the grid is too coarse for the sum of rounded shares to be as good as a
        Gaussian (`GRID_STEPS`); the rounding of the total itself is counted in the sensitivity.

        Raises
        ------
        UsageError
            Shares are too small for the grid.
        """
        if self._is_private_already(contribution) or self._twin == "clip-only":
            return total
        scale, enough = self._scale(contribution, grid), self._calibration.sufficient(owners)
        if self._calibration.laplace:
            if enough == 1:
                return np.rint(total) + self._stream.discrete_laplace(scale, total.size)
            return np.rint(total) + self._stream.polya(scale, enough, total.size)
        deviation = scale / np.sqrt(enough)
        noise = self._stream.gaussian(deviation, total.size)
        step = 1.0 if contribution.integer and not self.fractional else grid
        if not step:
            return to_grid(total + noise, deviation)
        if self.fractional and deviation < GRID_STEPS * step:
            raise UsageError(
                f"shares of noise of deviation {deviation:.3g} would be rounded to steps of "
                f"{step:.3g}, and hide too little. Lower epsilon, or have fewer owners."
            )
        return (np.rint(total / step) + np.rint(noise / step)) * step

    def headroom(self, contribution: Contribution, *, owners: int, grid: float) -> float:
        """Bound one place's noise: it is larger once in 10^15 coordinates."""
        if self._is_private_already(contribution) or self._twin == "clip-only":
            return 0.0
        scale = self._scale(contribution, grid)
        if self._calibration.laplace:
            return float(np.ceil(_LAPLACE_TAIL * max(1.0, scale)))
        return _GAUSSIAN_TAIL * scale / float(np.sqrt(self._calibration.sufficient(owners)))

    def account(self, contribution: Contribution, *, owners: int, grid: float) -> Noise | None:
        """Note one release, and say which noise its total carries."""
        self._owners = owners
        self._unit = "record" if contribution.local_steps else contribution.unit
        if self._is_private_already(contribution) or self._twin == "clip-only":
            return None
        kind: Literal["laplace", "gaussian"]
        kind = "laplace" if self._calibration.laplace else "gaussian"
        terms = owners / self._calibration.sufficient(owners)
        return Noise(kind, self._scale(contribution, grid), terms=terms)

    def guarantee(self, inputs: Guarantee, *, aggregator: str) -> Guarantee:
        """State epsilon and delta, who adds the noise and knows it, and what escapes."""
        epsilon = self._calibration.epsilon
        private = epsilon is not None
        place = aggregator if self.place == AGGREGATOR else self.place
        if self.place == OWNERS:
            others = tuple(party for party in inputs.trusted if party != AGGREGATOR)
            inputs = replace(inputs, trusted=others)
        return inputs.joined(
            Guarantee(
                kind="output" if private else "none",
                protects=(
                    f"Each {self._unit}'s presence in the data, against readers of the result."
                    if private
                    else "The outputs are not protected: this is a twin, for comparison only."
                ),
                not_protected=" ".join(self._exposed(private, aggregator)),
                adversary="any reader of the result, with any background knowledge",
                trusted=() if self.place == OWNERS else (place,),
                epsilon=epsilon,
                delta=self._calibration.delta,
                mechanism=self._mechanism(private, place),
            )
        )

    def _exposed(self, private: bool, aggregator: str) -> list[str]:
        settings, public = self._calibration.settings, self._calibration.plan.public
        who = {
            CURATOR: "The curator holds all records and knows the noise.",
            AGGREGATOR: f"The {aggregator} knows the noise, and so the exact sums.",
            OWNERS: "Each owner knows its own noise.",
            ENCLAVE: "The enclave knows the noise, and the host too if it breaks the enclave.",
        }
        said = [who[self.place]]
        if self._calibration.hidden_shares:
            said.append(
                f"Epsilon holds while at most {settings.colluders} of {self._owners} owners "
                "reveal their shares of the noise."
            )
        if not private:
            said.append("Everything that is opened.")
        if settings.insecure_seed is not None:
            said.append("The noise is predictable: insecure_seed is set.")
        if public.observed:
            said.append(f"Ranges or levels were read off the data: {', '.join(public.observed)}.")
        if self._calibration.plan.public_size:
            said.append("The number of records is public.")
        return [*said, "Conclusions about people that hold whether or not they are in the data."]

    def _mechanism(self, private: bool, place: str) -> str:
        if not private:
            return self._twin if self._twin != "none" else "noise under a known seed"
        kind = "discrete Laplace" if self._calibration.laplace else "Gaussian"
        kind = f"shares of {kind}" if self._calibration.hidden_shares else kind
        rate = self._calibration.plan.sample_rate
        sampled = f", Poisson batches of {rate:g}" if rate < 1 else ""
        method = f", {self._calibration.settings.accountant.upper()} accountant" if rate < 1 else ""
        count = self._calibration.releases
        return f"{kind} noise by the {place}, {count} planned releases{sampled}{method}"

    def _scale(self, contribution: Contribution, grid: float) -> float:
        """Scale of all the Laplace noise that a sum needs, or deviation of its Gaussian noise."""
        sensitivity = self._calibration.sensitivity(contribution, grid)
        if self._calibration.laplace:
            return sensitivity / self._calibration.pure
        return self._calibration.multiplier * sensitivity

    def _is_private_already(self, contribution: Contribution) -> bool:
        if contribution.unit != "owner":
            return False
        if not contribution.local_steps:
            raise UsageError(
                "an owner's total hides no single record, and noise for a few owners"
                " would drown it: no privacy can be had here."
            )
        return True

    @property
    def _twin(self) -> str:
        return self._calibration.settings.twin


def _poisson(shard: Shard, sample_rate: float, stream: NoiseStream) -> Shard:
    return shard.take(np.flatnonzero(stream.uniform(shard.rows) <= sample_rate))


def _clipped(rows: Rows, order: int, bound: float) -> np.ndarray:
    norms = rows.norms(order)
    if not (norms > bound * (1 + 1e-12)).any():
        return rows.total()
    return rows.total(np.minimum(1.0, bound / np.maximum(norms, 1e-300)))
