"""A search as plain rules: who holds which trial, what was lost, when it is over. Knows no library and no file."""
