"""The engine: Spark sessions, storages, file formats and errors, for any project; no images, no tables."""
