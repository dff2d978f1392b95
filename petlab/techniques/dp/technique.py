"""The output guard behind `dp` and every spec that ends in `+dp`."""

from __future__ import annotations

from petlab.core.composing import OutputGuard
from petlab.core.ops import Op, never, not_yet
from petlab.core.plan import Plan
from petlab.core.release import Exposure
from petlab.metering.accountant import Event
from petlab.techniques.dp.calibration import Calibration, Settings
from petlab.techniques.dp.release import NoiseRelease


class DifferentialPrivacy(OutputGuard):
    """Noise on everything that is opened; alone, added by a trusted curator.

    References
    ----------
    .. [1] Dwork, Roth, The Algorithmic Foundations of Differential Privacy, 2014.
    .. [2] Abadi et al., Deep Learning with Differential Privacy, CCS 2016 (DP-SGD).
    .. [3] Truex et al., A Hybrid Approach to Privacy-Preserving Federated Learning, AISec
       2019 (noise shared among owners under encrypted sums).
    """

    name = "dp"
    title = "Differential privacy"
    protects = "the output, against whoever reads it"
    settings = Settings
    gaps = {  # noqa: RUF012
        Op.SHARE: never("what is computed on protected arrays and opened declares no sensitivity"),
        Op.HOLD: not_yet("what the readers of an accumulator see declares no sensitivity"),
        Op.CALL: not_yet("what a single-party step sends on declares no sensitivity"),
    }

    def calibration(self, plan: Plan, exposure: Exposure) -> Calibration:
        """Check the settings and find the noise for a plan."""
        return Calibration(self.chosen, plan, exposure)

    def release(self, plan: Plan, exposure: Exposure) -> NoiseRelease:
        """Return the guard for a plan."""
        return NoiseRelease(self.calibration(plan, exposure))

    def events(self, plan: Plan, exposure: Exposure) -> tuple[Event, ...]:
        """List what a plan's releases spend of a privacy budget."""
        return self.calibration(plan, exposure).events
