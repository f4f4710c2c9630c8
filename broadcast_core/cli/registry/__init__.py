"""`tocsin registry`: import, export, show, provision."""
