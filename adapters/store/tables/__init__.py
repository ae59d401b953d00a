"""The record's tables, one noun a file. The schema itself is made by migrations; a test compares the two."""

from adapters.store.tables import agents, events, identity, pools, runs, setup, steps, tallies, workspaces
from adapters.store.tables.base import metadata

__all__ = ["agents", "events", "identity", "metadata", "pools", "runs", "setup", "steps", "tallies", "workspaces"]
