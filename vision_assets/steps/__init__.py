"""The path of the data, in the order it flows."""
