"""From a cell to its result: here, in a process, in a notebook, in a grid."""
