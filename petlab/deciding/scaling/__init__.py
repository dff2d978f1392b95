"""Costs at sizes that were not measured, from laws that were fitted where they were."""

from petlab.deciding.scaling.study import Scaling, scale

__all__ = ["Scaling", "scale"]
