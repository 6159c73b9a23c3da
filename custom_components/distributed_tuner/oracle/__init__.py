"""keras-tuner's side of a search: the user's tuner, its oracle behind a narrow door, that oracle's state as patches."""
