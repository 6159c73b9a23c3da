"""What an Evaluator measures so that a gate can rely on it, as metrics of TFMA."""
