"""The commands of `petlab`, one module for each group that belongs together."""
