"""From measurements to a choice: what meets the constraints, and what ruled the others out."""

from petlab.decision.decide import Decision, decide
from petlab.decision.price import Prices
from petlab.decision.requirement import Requirement, parse_requirements

__all__ = ["Decision", "Prices", "Requirement", "decide", "parse_requirements"]
