"""One run on this machine: engines, nodes, progress and results, and its directory."""
