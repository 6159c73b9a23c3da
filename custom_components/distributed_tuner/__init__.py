"""A TFX Tuner that searches with many workers, and loses nothing when some of them die."""
