"""Costs at sizes that were not measured, from laws that were fitted where they were."""

from petlab.scaling.study import Scaling, scale

__all__ = ["Scaling", "scale"]
