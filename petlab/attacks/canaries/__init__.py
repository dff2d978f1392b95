"""An empirical floor under epsilon, from one training run with mislabelled canaries."""

from petlab.attacks.canaries.bound import lower_bound, p_value
from petlab.attacks.canaries.run import OVERFITTING, Audit, audit

__all__ = ["OVERFITTING", "Audit", "audit", "lower_bound", "p_value"]
