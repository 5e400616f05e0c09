"""What a user would run instead. Each module has a function `measure` that times it."""
