"""External coding agents: their command lines, their environment, and readers of their event streams."""
