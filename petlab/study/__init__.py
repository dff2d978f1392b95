"""Many results read together: paired, averaged, named, drawn."""
