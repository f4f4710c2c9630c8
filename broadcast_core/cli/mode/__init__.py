"""`tocsin mode`: show, set, clear."""
