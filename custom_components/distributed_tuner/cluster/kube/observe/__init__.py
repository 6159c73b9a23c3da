"""What is observed of a search's pods, and what it means."""
