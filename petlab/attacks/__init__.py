"""Attacks on what really crossed between parties: what the other side could rebuild."""

from petlab.attacks.study import GradientInversion, gradient_inversion

__all__ = ["GradientInversion", "gradient_inversion"]
