"""The command line that looks at searches."""
