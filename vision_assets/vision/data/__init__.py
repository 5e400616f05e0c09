"""The sample images."""
