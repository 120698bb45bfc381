"""Features: their identity, the networks that extract them, and how they are stored."""
