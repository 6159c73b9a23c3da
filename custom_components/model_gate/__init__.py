"""TFMA metrics by which an Evaluator can gate models reliably."""
