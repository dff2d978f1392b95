"""Federated learning with Flower: raw records stay at their owners."""

from petlab.techniques.fl.technique import FederatedLearning

__all__ = ["FederatedLearning"]
