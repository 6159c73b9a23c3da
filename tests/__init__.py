"""The tests. A package, so that what they run in other processes finds them before other packages of that name."""
