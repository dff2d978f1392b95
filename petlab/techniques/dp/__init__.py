"""Differential privacy of what is opened: clip each unit, add noise, account for epsilon."""
