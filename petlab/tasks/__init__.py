"""Tasks: one file each. Dropping a file in here is all it takes to add one."""
