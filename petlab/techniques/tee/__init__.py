"""A simulated trusted execution environment: a process that is handed data only once attested."""
