"""Techniques: one file or folder each. Dropping one in here is all it takes to add it."""
