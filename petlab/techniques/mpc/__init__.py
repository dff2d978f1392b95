"""Multiparty computation with CrypTen: every compute party is a process of its own."""

from petlab.techniques.mpc.technique import MultipartyComputation

__all__ = ["MultipartyComputation"]
