"""How the processes of a search start and end, on one machine and in a pod."""
