"""The local stack: PostgreSQL, Temporal, worker and API on one machine, kept up by a supervisor of our own.

Nothing here knows what a run is. Each file owns one noun; docs/stack.md tells the whole.
"""
