"""From measurements to a choice: what meets the constraints, and what ruled the others out."""

from petlab.deciding.decide import decide
from petlab.deciding.decision import Decision
from petlab.deciding.requirement import Requirement, parse_requirements
from petlab.study.price import Prices

__all__ = ["Decision", "Prices", "Requirement", "decide", "parse_requirements"]
