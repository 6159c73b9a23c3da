"""What a search space allows: the values of an entry, of a trial, and how many there are."""
