"""Features: what they are, the networks that make them, and how they are stored."""
