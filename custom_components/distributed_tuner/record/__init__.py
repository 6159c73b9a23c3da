"""A search as data: what reports, leaderboards and the choice of the best read."""
