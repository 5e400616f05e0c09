"""Linear classifiers and their metrics."""
