"""Logs, spans and metrics: how they leave the process."""
