"""What a stored table is, whoever made it."""
