"""One run on this machine: engines, nodes, what is told of it, and where it lies."""
