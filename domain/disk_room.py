"""How much room the file systems of the state folder and of the databases must have."""

LEAST_FREE_BYTES = 200_000_000
"""Below it PostgreSQL and Temporal may stop: their logs of changes cannot grow."""
