"""One folder for each model that the pipeline can train."""
