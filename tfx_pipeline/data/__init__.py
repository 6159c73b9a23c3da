"""The input data: the sample, the check of a CSV file, and what is made ready before a run."""
