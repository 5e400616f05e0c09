"""Benchmarks: the project beside what a user would run instead; see README.md."""
