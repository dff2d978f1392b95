"""Differential privacy of what is opened: clip each unit, add noise, account for epsilon."""

from petlab.techniques.dp.technique import DifferentialPrivacy

__all__ = ["DifferentialPrivacy"]
