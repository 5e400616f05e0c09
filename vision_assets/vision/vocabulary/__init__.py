"""Visual words: fixed-point descriptors, assignment, k-means and sampling."""
