"""Image files in, grey values out."""
