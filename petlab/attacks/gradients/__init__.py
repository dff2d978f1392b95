"""Attacks on what really crossed between parties: what the other side could rebuild."""

from petlab.attacks.gradients.picture import GradientInversion
from petlab.attacks.gradients.study import gradient_inversion

__all__ = ["GradientInversion", "gradient_inversion"]
