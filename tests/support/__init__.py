"""Real servers for tests: see tests/conftest.py."""
