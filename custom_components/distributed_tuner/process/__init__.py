"""How the processes of a search begin and end, on one machine and in a pod."""
