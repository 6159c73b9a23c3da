"""The input data: the sample, the check of a CSV file, and the preparation before a run."""
