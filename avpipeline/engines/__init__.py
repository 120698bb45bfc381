"""Where the work of a command is done: in its own process, or on a Ray cluster."""
