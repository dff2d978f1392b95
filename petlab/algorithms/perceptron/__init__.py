"""A small network, in the clear and on protected values."""
