"""Differential privacy of what is opened: clip each unit, add noise, account for epsilon."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from petlab.accountant import composed_multiplier, gaussian_epsilon, gaussian_multiplier
from petlab.contribution import Contribution, Noise
from petlab.errors import OutOfRange, UsageError
from petlab.guard import OutputGuard
from petlab.noise import NoiseStream, to_grid
from petlab.ops import Op, never, not_yet
from petlab.party import CURATOR
from petlab.plan import Plan
from petlab.result import Guarantee
from petlab.rows import Rows
from petlab.task import setting

MECHANISMS = ("auto", "laplace", "gaussian")
TWINS = ("none", "clip-only")


@dataclass(frozen=True)
class Settings:
    """Settings of differential privacy."""

    epsilon: float = setting(1.0, "privacy loss of everything that is opened")
    delta: float = setting(1e-5, "chance of a larger loss (Gaussian noise only)")
    mechanism: str = setting("auto", "auto (Laplace for counts), laplace or gaussian")
    twin: str = setting("none", "clip-only: bound contributions but add no noise, no privacy")
    insecure_seed: int | None = setting(None, "repeatable noise for experiments; no privacy")


class CuratorRelease:
    """Clips every unit's row and adds the planned noise to each released total.

    Parameters
    ----------
    settings
        Epsilon, delta, mechanism.
    plan
        How many releases the noise must cover, and whose ranges were observed.
    """

    place = CURATOR

    def __init__(self, settings: Settings, plan: Plan) -> None:
        self._settings, self._plan = settings, plan
        self._stream = NoiseStream(settings.insecure_seed)
        self._laplace: list[float] = []
        self._multipliers: list[float] = []
        self._unit = ""

    def clipped_total(self, rows: Rows, contribution: Contribution) -> np.ndarray:
        """Total of the rows, each scaled down to its declared norm."""
        order, bound = self._bound(contribution)
        norms = rows.norms(order)
        over = norms > bound * (1 + 1e-12)
        if not over.any():
            return rows.total()
        if contribution.on_excess == "refuse":
            raise OutOfRange("a unit's row exceeds its declared norm: nothing was released.")
        return rows.total(np.minimum(1.0, bound / np.maximum(norms, 1e-300)))

    def noisy(
        self, total: np.ndarray, contribution: Contribution
    ) -> tuple[np.ndarray, Noise | None]:
        """Add discrete Laplace or Gaussian noise for this share of the budget."""
        order, bound = self._bound(contribution)
        self._unit = contribution.unit
        if self._settings.twin == "clip-only":
            return total, None
        if order == 1:
            epsilon = self._settings.epsilon / self._plan.releases
            self._laplace.append(epsilon)
            scale = bound / epsilon
            noise = self._stream.discrete_laplace(scale, total.size)
            return np.rint(total) + noise, Noise("laplace", scale)
        multiplier = gaussian_multiplier(
            self._settings.epsilon, self._settings.delta, releases=self._plan.releases
        )
        self._multipliers.append(multiplier)
        deviation = multiplier * bound
        noise = self._stream.gaussian(deviation, total.size)
        return to_grid(total + noise, deviation), Noise("gaussian", deviation)

    @property
    def spent(self) -> tuple[float | None, float | None]:
        """Epsilon and delta of what was released so far, from the noise really added."""
        if not self._laplace and not self._multipliers:
            return None, None
        epsilon, delta = sum(self._laplace), 0.0
        if self._multipliers:
            # Noise is calibrated for every planned release: unused ones are not refunded.
            unused = self._plan.releases - len(self._multipliers)
            each = self._multipliers + [self._multipliers[-1]] * unused
            epsilon += gaussian_epsilon(composed_multiplier(each), self._settings.delta)
            delta = self._settings.delta
        return epsilon, delta

    def guarantee(self, inputs: Guarantee) -> Guarantee:
        """State epsilon and delta, who adds the noise, and what escapes it."""
        epsilon, delta = self.spent
        observed = self._plan.public.observed
        gaps = ["The curator, who holds all records and knows the noise."]
        if epsilon is None:
            gaps.append("Everything: this is the twin without noise, for comparison only.")
        if self._settings.insecure_seed is not None:
            gaps.append("The noise, which a fixed insecure_seed makes predictable.")
        if observed:
            gaps.append(f"Ranges or levels that were read off the data: {', '.join(observed)}.")
        gaps.append("Conclusions about people that hold whether or not they are in the data.")
        kind = "discrete Laplace" if self._laplace else "Gaussian"
        private = epsilon is not None
        return inputs.joined(
            Guarantee(
                kind="output" if private else "none",
                protects=(
                    f"Each {self._unit}'s presence in the data, against readers of the result."
                    if private
                    else "Nothing: contributions are clipped, but no noise is added."
                ),
                not_protected=" ".join(gaps),
                adversary="any reader of the result, with any background knowledge",
                trusted=(CURATOR,),
                epsilon=epsilon,
                delta=delta,
                mechanism=(
                    f"{kind} noise by the curator, {self._plan.releases} planned releases"
                    if private
                    else "clipping only"
                ),
            )
        )

    def _bound(self, contribution: Contribution) -> tuple[int, float]:
        """Norm order and bound that the mechanism uses."""
        wanted = self._settings.mechanism
        laplace = contribution.integer and contribution.unit_norm_l1 is not None
        if wanted == "laplace" and not laplace:
            raise UsageError("laplace noise is for integer counts: --set mechanism=gaussian.")
        if laplace and wanted != "gaussian":
            assert contribution.unit_norm_l1 is not None
            return 1, contribution.unit_norm_l1
        if contribution.unit_norm is None:
            raise UsageError("this sum declares no bound on a unit's norm, so noise has no size.")
        return 2, contribution.unit_norm


class DifferentialPrivacy(OutputGuard):
    """Noise on everything that is opened; alone, added by a trusted curator."""

    name = "dp"
    title = "Differential privacy (trusted curator)"
    protects = "the output, against whoever reads it"
    settings = Settings
    gaps = {  # noqa: RUF012
        Op.SAMPLE: not_yet("DP-SGD with Poisson sampling through Opacus is not built"),
        Op.SHARE: never(
            "the scores or counts that a linked or score program opens declare no sensitivity"
        ),
        Op.HOLD: not_yet("what the readers of an accumulator see declares no sensitivity"),
        Op.CALL: not_yet("what a single-party step sends on declares no sensitivity"),
    }

    def release(self, plan: Plan) -> CuratorRelease:
        """Check the settings and calibrate for a plan."""
        chosen = self.chosen
        if not (chosen.epsilon > 0 and np.isfinite(chosen.epsilon)):
            raise UsageError("epsilon must be positive and finite.")
        if not 0 < chosen.delta < 1:
            raise UsageError("delta must lie between 0 and 1.")
        for name, value, known in (
            ("mechanism", chosen.mechanism, MECHANISMS),
            ("twin", chosen.twin, TWINS),
        ):
            if value not in known:
                raise UsageError(f"unknown {name} {value!r}. Known: {', '.join(known)}.")
        return CuratorRelease(replace(chosen), plan)
