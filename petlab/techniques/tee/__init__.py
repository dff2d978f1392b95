"""A simulated trusted execution environment: a process that is handed data only once attested."""

from petlab.techniques.tee.technique import TrustedExecution

__all__ = ["TrustedExecution"]
