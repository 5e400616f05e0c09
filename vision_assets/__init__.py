"""Bag-of-visual-words pipelines as a Dagster asset graph on Apache Spark and OpenCV."""
