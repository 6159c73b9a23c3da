"""The process that serves a search: its methods, its oracle's turn, and what is durable."""
