"""Search for images of the same thing: signatures, votes, geometry."""
