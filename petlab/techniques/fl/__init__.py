"""Federated learning with Flower: raw records stay at their owners."""
