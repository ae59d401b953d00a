"""Runs commands under a guard that ends their whole process tree. Kept empty: the guard imports through here."""
