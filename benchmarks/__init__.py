"""Measurements that take longer than a test may: each is a command that prints a table."""
