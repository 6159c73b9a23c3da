"""The process that runs the user's tuner, trial after trial."""
