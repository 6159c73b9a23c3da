"""The command line for inspecting searches."""
