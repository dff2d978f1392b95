"""Homomorphic encryption with TenSEAL: the compute server has no key."""

from petlab.techniques.he.technique import HomomorphicEncryption

__all__ = ["HomomorphicEncryption"]
