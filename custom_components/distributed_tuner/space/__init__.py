"""Search spaces: the allowed values of an entry and of a trial, and how many configurations there are."""
