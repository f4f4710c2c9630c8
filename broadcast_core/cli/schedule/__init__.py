"""`tocsin schedule`: add, list, show, remove, preview, check, import, export."""
