"""What is seen of a search's pods, and what it means."""
