"""Every byte, second and epsilon of a run, counted once."""
