"""How chief and callers speak: the messages, the client, and what each must show."""
