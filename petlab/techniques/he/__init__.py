"""Homomorphic encryption with TenSEAL: the compute server has no key."""
